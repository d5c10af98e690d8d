# SPDX-License-Identifier: Apache-2.0
"""What the contestants work on, made once below build/peers: graphs, their ONNX twins, pixels, photos; and the proof that
all of them compute the same."""
import functools
import glob
import json
import os
import shutil
import subprocess

import numpy as np

import graphs
import to_onnx

BUILD = os.environ.get("COUPLET_BUILD", "build")
TEMP = os.path.join(BUILD, "peers")
SHARED = os.environ.get("COUPLET_DATA", "../shared")
PHOTOS = os.path.join(SHARED, "data", "flower_photos")
OURS = os.path.join(BUILD, "tests", "ours")


def our_program(*command):
    """What one of our programs writes; that it fails ends the run."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def ours(*arguments):
    said = our_program(OURS, *map(str, arguments))
    return json.loads(said) if said[:1] in "{0123456789" and said else said.strip()


class Network:
    """A frozen graph of ../shared, or where that has none, of our generator."""

    def __init__(self, name):
        self.name = name
        found = {"0.25_128": "mobilenet_v1_0.25_128/frozen_graph.pb", "0.50_224": "mobilenet_v1_0.50_224/quantized_graph.pb",
                 "Inception v3": "inception_2015/classify_image_graph_def.pb"}.get(name)
        self.graph = (os.path.join(SHARED, "models", found) if found
                      else ours("network", "mobilenet_" + name, TEMP))
        self.onnx = os.path.join(TEMP, name.replace(" ", "_") + ".onnx")
        self.pixels = self.onnx[:-5] + ".npy"
        facts = ours("facts", self.graph)
        self.left_out = {}  # peer -> why
        self.flops, self.size, self.features = facts["flops"], facts["size"], facts["features"]

    def prepare(self):
        """Converts, makes pixels of 32 photos, and holds every contestant's numbers against TensorFlow's. A peer that fails
        or computes something else is left out of this network's rows, by name; of ourselves it ends the run."""
        import engine_peers
        import tensorflow_peers

        photos = sorted(glob.glob(os.path.join(PHOTOS, "*", "*.jpg")))[::31][:32]
        raw = os.path.join(TEMP, "floats.bin")
        ours("pixels", self.graph, raw, *photos)
        pixels = np.fromfile(raw, np.float32).reshape(32, self.size, self.size, 3)
        original = tensorflow_peers.Original(self.graph)
        for whose, theirs in (("TensorFlow's", map(original.pixels, photos)),
                              ("tf.data's", tensorflow_peers.dataset(photos, self.size, 32).as_numpy_iterator())):
            if pixels.tobytes() != np.concatenate(list(theirs)).tobytes():
                raise SystemExit(f"{self.name}: the pixels are not {whose}, to the byte: nothing is timed")
        np.save(self.pixels, pixels)
        pixels.tofile(self.floats)
        want = original.net(pixels)
        ours("outputs", self.graph, raw, raw)

        def onnx():
            to_onnx.convert(self.graph, self.onnx)
            return engine_peers.onnx_call(self.onnx, 1)(pixels)

        distances = {}
        for name, compute in {"ours": lambda: np.fromfile(raw, np.float32).reshape(want.shape), "onnxruntime": onnx,
                              "openvino": lambda: engine_peers.openvino_call(self.onnx, 1, 32)(pixels),
                              "keras": lambda: tensorflow_peers.keras_of(self.graph)[0].predict(pixels, verbose=0)}.items():
            try:
                distances[name] = graphs.relative_l2(compute(), want)
                if not distances[name] < 1e-4:
                    self.left_out[name] = f"its vectors are not TensorFlow's: relative L2 {distances[name]:.1e}"
            except Exception as error:  # whatever a peer's library raises
                self.left_out[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:200]}"
        engine_peers.onnx_call.cache_clear()
        engine_peers.openvino_call.cache_clear()
        tensorflow_peers.keras_of.cache_clear()
        if "ours" in self.left_out:
            raise SystemExit(f"{self.name}: ours: {self.left_out['ours']}: nothing is timed")
        print(f"{self.name}: pixels, tf.data's too, equal to the byte; relative L2 from TensorFlow: "
              + ", ".join(f"{name} {distance:.1e}" for name, distance in distances.items())
              + "".join(f"; {name} is left out: {why}" for name, why in self.left_out.items()), flush=True)

    @property
    def floats(self):
        return self.pixels[:-4] + ".bin"


def many_photos(count):
    """The shared photos again and again under other names, each with other bytes behind the end of the picture."""
    folder, made = os.path.join(TEMP, f"many{count}"), sorted(glob.glob(os.path.join(PHOTOS, "*", "*.jpg")))
    if os.path.exists(folder):
        return folder
    unfinished = folder + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for i in range(count):
        source = made[i % len(made)]
        target = os.path.join(unfinished, os.path.basename(os.path.dirname(source)))
        os.makedirs(target, exist_ok=True)
        with open(source, "rb") as file:
            data = file.read()
        with open(os.path.join(target, f"{i:05}.jpg"), "wb") as file:
            file.write(data + b"%08d" % i)
    os.rename(unfinished, folder)
    return folder


@functools.cache
def retrained(network):
    """(graph, labels, head): a graph with five classes, as our retrain writes it; its head as rows of weights and the bias."""
    base = network.onnx[:-5]
    some = os.path.join(TEMP, "some")
    for i, photo in enumerate(sorted(glob.glob(os.path.join(PHOTOS, "*", "*.jpg")))[::16]):
        target = os.path.join(some, os.path.basename(os.path.dirname(photo)))
        os.makedirs(target, exist_ok=True)
        shutil.copy(photo, os.path.join(target, f"{i}.jpg"))
    graph, labels = base + "_retrained.pb", base + "_labels.txt"
    our_program(os.path.join(BUILD, "retrain"), "--quiet", f"--image_dir={some}", f"--model_file={network.graph}",
                f"--bottleneck_dir={base}_store", f"--summaries_dir={TEMP}/events", "--how_many_training_steps=20",
                f"--output_graph={graph}", f"--output_labels={labels}")
    head = [graphs.tf.make_ndarray(node.attr["value"].tensor) for node in graphs.load_graph_def(graph).node
            if node.op == "Const" and node.name.startswith("final_training_ops/") and
            node.name.endswith(("final_weights", "final_biases"))]
    np.save(base + "_head.npy", np.vstack(head))
    return graph, labels, base + "_head.npy"
