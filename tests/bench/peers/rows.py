# SPDX-License-Identifier: Apache-2.0
"""The rows: what each contestant does in one round, and the least it could take on this machine."""
import glob
import json
import os
import shutil
import site
import subprocess
import sys
import time
from dataclasses import dataclass, field

import material
from material import BUILD, PHOTOS, TEMP, ours

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 4000
PEERS = {"original": "TensorFlow, the original's way", "keras": "Keras, tf.data", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass
class Row:
    group: str
    name: str
    unit: str
    round: dict        # contestant -> a function that gives the round's figure
    floor: object      # ceilings of the machine -> figure
    notes: list = field(default_factory=list)

    @property
    def higher_is_better(self):
        return self.unit == "photos/s"


class Workers:
    """A process a peer, started when first asked, so that no peer's threads or memory are another's."""

    def __init__(self):
        self.processes = {}

    def ask(self, peer, module, function, *arguments):
        if peer not in self.processes:
            self.processes[peer] = subprocess.Popen([sys.executable, os.path.join(HERE, "worker.py")], text=True,
                                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process = self.processes[peer]
        print(json.dumps({"module": module, "function": function, "arguments": arguments}), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(f"{peer}: {function} failed; run tests/bench/peers/worker.py by hand to see why")
        return json.loads(answer)

    def close(self):
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
        self.processes = {}


def network_floor(network):
    return lambda m: 1 / (1 / m["decode"] + network.flops / m["peak"])


def backbone_rows(workers, networks, cores):
    """(a) backbone only"""
    for net in networks:
        for threads in (1, cores):
            for batch in (1, 32):
                def engine(peer, threads=threads, batch=batch, net=net):
                    return lambda: workers.ask(peer, "engine_peers", "backbone", peer, net.onnx, net.pixels, threads, batch, 0.3)
                yield Row("a", f"{net.name}, batch {batch}, {threads} thread{'s' * (threads > 1)}", "photos/s", {
                    "ours": lambda t=threads, b=batch, n=net: ours("backbone", n.graph, n.floats, t, b, 0.3),
                    "original": lambda t=threads, b=batch, n=net: workers.ask(
                        "original", "tensorflow_peers", "backbone", n.graph, n.pixels, t, b, 0.3),
                    "onnxruntime": engine("onnxruntime"), "openvino": engine("openvino"),
                }, lambda m, t=threads, n=net: (m["peak1"] if t == 1 else m["peak"]) / n.flops)


def vector_rows(workers, networks, cores):
    """(b) photos in a folder -> vectors, decode included"""
    counts = {"0.25_128": (1000, 200, 500), "0.50_224": (500, 100, 200), "1.0_224": (200, 60, 100), "Inception v3": (32, 16, 32)}
    for net in networks:
        own, one, batched = counts[net.name]

        def engine(peer, net=net, n=batched):
            return lambda: workers.ask(peer, "engine_peers", "vectors", peer, net.onnx, net.pixels, PHOTOS, n, TEMP)
        yield Row("b", f"{net.name}", "photos/s", {
            "ours": lambda n=net, c=own: ours("vectors", n.graph, PHOTOS, c, TEMP),
            "original": lambda n=net, c=one: workers.ask("original", "tensorflow_peers", "original_vectors", n.graph, PHOTOS, c, TEMP + "/text"),
            "keras": lambda n=net, c=batched: workers.ask("keras", "tensorflow_peers", "keras_vectors", n.graph, PHOTOS, c, TEMP),
            "onnxruntime": engine("onnxruntime"), "openvino": engine("openvino"),
        }, network_floor(net), [f"{own} photos for us, {one} for the original, {batched} for the others"])


def step_rows(workers, networks, cores):
    """(c) 4,000 head steps"""
    for features in (1001, 2048):
        for classes in (5, 120):
            def peer(name, function, sample, features=features, classes=classes):
                return lambda: workers.ask(name, "tensorflow_peers", function, features, classes, STEPS, sample, TEMP)
            yield Row("c", f"D={features}, {classes} classes", "s", {
                "ours": lambda f=features, c=classes: ours("steps", f, c, STEPS, TEMP),
                "original": peer("original", "original_steps_row", 30), "keras": peer("keras", "keras_steps_row", 500),
            }, lambda m, f=features, c=classes: 4.0 * 100 * f * c * STEPS / m["peak1"],
                ["extrapolated from 30 steps of the original's and 500 of Keras's"])


def retrain_seconds(workers, peer, net, sample, steps, warm):
    """A new process on a sample; what grows with photos and steps is scaled to 3,670 and 4,000."""
    start = time.perf_counter()
    phases = workers.ask(peer, "tensorflow_peers", f"retrain_{peer}", net.graph, PHOTOS, sample, steps, TEMP)
    fixed = time.perf_counter() - start - phases["photos"] - phases["steps"]
    workers.close()
    return fixed + (0 if warm else phases["photos"] * 3670 / sample) + phases["steps"] * STEPS / steps


def our_retrain(folder, net, warm):
    if not warm:
        shutil.rmtree(TEMP + "/store", ignore_errors=True)
    return run_seconds([BUILD + "/retrain", "--quiet", f"--image_dir={folder}", f"--model_file={net.graph}",
                        f"--bottleneck_dir={TEMP}/store", f"--summaries_dir={TEMP}/events", f"--how_many_training_steps={STEPS}",
                        f"--output_graph={TEMP}/out.pb", f"--output_labels={TEMP}/out.txt"])


def retrain_rows(workers, networks, cores):
    """(d) whole retrain, 3,670 photos"""
    net, folder = networks[0], material.many_photos()
    for warm in (False, True):
        def floor(m, warm=warm):
            return (0 if warm else 3670 / network_floor(net)(m)) + 4.0 * 100 * net.features * 5 * STEPS / m["peak1"]
        yield Row("d", f"{net.name}, {'warm' if warm else 'cold'} cache of vectors", "s", {
            "ours": lambda w=warm: our_retrain(folder, net, w),
            "original": lambda w=warm: retrain_seconds(workers, "original", net, 100, 30, w),
            "keras": lambda w=warm: retrain_seconds(workers, "keras", net, 500, 500, w),
        }, floor, ["extrapolated from 100 photos and 30 steps of the original's, 500 and 500 of Keras's"])


def run_seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def drop_from_page_cache(paths):
    """posix_fadvise DONTNEED; what another process has mapped (libc, libraries of a running peer) stays."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass


def libraries_of(program):
    lines = subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split()
    return [word for word in lines if word.startswith("/")]


def python_files(peer):
    packages = {"original": ["tensorflow", "numpy", "keras", "google", "numpy.libs"], "onnxruntime": ["onnxruntime", "numpy", "PIL", "numpy.libs"],
                "openvino": ["openvino", "numpy", "PIL", "numpy.libs"]}[peer]
    return [os.path.join(folder, file) for package in packages
            for folder, _, files in os.walk(os.path.join(site.getsitepackages()[0], package)) for file in files]


def label_command(peer, net, made, photos):
    graph, labels, head = made
    if peer == "ours":
        return [BUILD + "/label_image", f"--graph={graph}", f"--labels={labels}", *photos]
    network = net.onnx if peer in ("onnxruntime", "openvino") else graph
    return [sys.executable, os.path.join(HERE, "label_peer.py"), peer, network, head, str(net.size), *photos]


def label_rows(workers, networks, cores):
    """(e) label_image, one photo, process start to exit"""
    photo = sorted(glob.glob(PHOTOS + "/*/*.jpg"))[0]
    for net in [networks[0], networks[-1]]:
        made = material.retrained(net)
        for cold in (False, True):
            def one(peer, net=net, made=made, cold=cold):
                command = label_command(peer, net, made, [photo])
                files = ([BUILD + "/label_image"] + libraries_of(BUILD + "/label_image") if peer == "ours" else python_files(peer))
                files += [net.onnx, photo, *made] if cold else []

                def run():
                    if cold:
                        drop_from_page_cache(files)
                        return 1e3 * run_seconds(command)
                    return 1e3 * min(run_seconds(command) for _ in range(5 if peer == "ours" else 1))
                return run
            yield Row("e", f"{net.name}, {'cold' if cold else 'warm'} page cache", "ms",
                      {peer: one(peer) for peer in ("ours", "original", "onnxruntime", "openvino")},
                      lambda m, n=net: 1e3 * (run_seconds(["true"]) + cores / m["decode"] + n.flops / m["peak"]),
                      ["program, libraries, graph and photo dropped by posix_fadvise; what others have mapped stays"] if cold else [])


def thousand_rows(workers, networks, cores):
    """(f) 1,000 photos through label_image"""
    net, photos = networks[0], sorted(glob.glob(PHOTOS + "/*/*.jpg"))[:1000]
    made = material.retrained(net)
    round_of = {peer: lambda peer=peer: run_seconds(label_command(peer, net, made, photos))
                for peer in ("ours", "keras", "onnxruntime", "openvino")}
    round_of["original"] = lambda: len(photos) * run_seconds(label_command("original", net, made, photos[:1]))
    yield Row("f", net.name, "s", round_of, lambda m: len(photos) / network_floor(net)(m),
              ["the original labels one photo a process: one process times 1,000"])


GROUPS = {"a": backbone_rows, "b": vector_rows, "c": step_rows, "d": retrain_rows, "e": label_rows, "f": thousand_rows}
