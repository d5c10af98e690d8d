# SPDX-License-Identifier: Apache-2.0
"""Whole graphs, layer by layer, and the bottleneck files that retrain.py wrote."""
import glob
import os

import numpy as np

import ours
import tf_reference as ref

TOLERANCE = 1e-4
DEFAULT_TOLERANCE = 1e-5
DEFAULT = "weights/couplet_mobilenet_v1_0.25_128.pb"
MOBILENET_OUTPUT = "MobilenetV1/Predictions/Reshape_1"
MOBILENETS = ["mobilenet_v1_0.25_128/frozen_graph.pb", "mobilenet_v1_0.25_224/frozen_graph.pb",
              "mobilenet_v1_0.25_128/quantized_graph.pb", "mobilenet_v1_0.50_160/quantized_graph.pb",
              "mobilenet_v1_0.50_224/quantized_graph.pb", "mobilenet_v1_0.75_160/quantized_graph.pb",
              "mobilenet_v1_0.75_224/quantized_graph.pb"]
RETRAINED = ["scratches_0.25_128/retrained_graph.pb", "scratches_0.25_128/optimized_graph.pb",
             "plates_0.25_128_addv2/retrained_graph.pb"]


def flower_photos(shared, count):
    """The first of each class in turn."""
    folders = [sorted(glob.glob(f"{d}/*.jpg")) for d in sorted(glob.glob(f"{shared}/data/flower_photos/*/"))]
    return [folders[i % len(folders)][i // len(folders)] for i in range(count)]


def compare_layers(report, title, path, entry, output, size, mean, std, photo):
    """Each layer of ours that has a node of its name in the graph, as found and after all rewrites."""
    graph = ref.import_graph(path)
    pixels = ref.Preprocess(size, mean, std)(photo)
    nodes = {op.name for op in graph.get_operations()}
    with ref.session(graph, threads=2) as session:
        for form in ("found", "optimized"):
            layers = ours.layers(path, entry, output, size, mean, std, "multiply", form, [photo])
            unknown = [name for name, _ in layers if name not in nodes]
            if unknown:
                report.fail(f"{title}, {form}: no such nodes in the graph: {unknown[:3]}")
            layers = [(name, value) for name, value in layers if name in nodes]
            wanted = session.run([name + ":0" for name, _ in layers], {entry + ":0": pixels})
            apart = [(ref.relative_l2(value, want), name) for (name, value), want in zip(layers, wanted)]
            if form == "found":
                for distance, name in apart:
                    report.detail(f"  {distance:9.2e}  {name}")
            distance, name = max(apart)
            report.check(f"{title}, {form}: {len(apart)} layers, furthest {name}", distance, TOLERANCE)


def check_graphs(report, shared):
    """Whole graphs, layer by layer."""
    photo = flower_photos(shared, 1)[0]
    for path in MOBILENETS:
        size = int(path.split("/")[0].rsplit("_", 1)[1])
        compare_layers(report, path, f"{shared}/models/{path}", "input", MOBILENET_OUTPUT, size, 127.5, 127.5,
                       photo)
    compare_layers(report, DEFAULT, DEFAULT, "input", MOBILENET_OUTPUT, 128, 127.5, 127.5, photo)
    path = "inception_2015/classify_image_graph_def.pb"
    compare_layers(report, path, f"{shared}/models/{path}", "Mul", "softmax", 299, 128, 128, photo)
    for path in RETRAINED:
        compare_layers(report, path, f"{shared}/models/retrained/{path}", "input", "final_result", 128, 127.5,
                       127.5, photo)


def check_default(report, shared):
    """The default backbone as TensorFlow loads it: logits and scores of twenty photos, within 1e-5."""
    photos = flower_photos(shared, 20)
    graph = ref.import_graph(DEFAULT)
    preprocess = ref.Preprocess(128, 127.5, 127.5)

    def both(layer):
        got = ours.layers(DEFAULT, "input", layer, 128, 127.5, 127.5, "multiply", "output", photos)
        want = [session.run(layer + ":0", {"input:0": preprocess(photo)}) for photo in photos]
        return np.concatenate([value.ravel() for _, value in got]), np.concatenate([w.ravel() for w in want])

    with ref.session(graph) as session:
        # Of all photos together: in a single one rounding alone may come to more (1.4e-5 was seen).
        report.check(f"logits of {len(photos)} photos, relative L2", ref.relative_l2(*both("MobilenetV1/Predictions/Reshape")),
                     DEFAULT_TOLERANCE)
        got, want = both(MOBILENET_OUTPUT)
        report.check(f"scores of {len(photos)} photos, greatest difference", np.abs(got - want).max(), DEFAULT_TOLERANCE)


def check_logits(report, shared):
    """Logits of retrained graphs for twenty photos."""
    photos = flower_photos(shared, 20)
    for path in RETRAINED:
        graph = ref.import_graph(f"{shared}/models/retrained/{path}")
        preprocess = ref.Preprocess(128, 127.5, 127.5)
        layer = "final_training_ops/Wx_plus_b/add"
        got = ours.layers(f"{shared}/models/retrained/{path}", "input", layer, 128, 127.5, 127.5, "multiply",
                          "output", photos)
        with ref.session(graph) as session:
            apart = [ref.relative_l2(value, session.run(layer + ":0", {"input:0": preprocess(photo)}))
                     for (_, value), photo in zip(got, photos)]
        report.check(f"{path}: logits of {len(apart)} photos", max(apart), TOLERANCE)


def check_bottlenecks(report, shared):
    """Files that retrain.py wrote: every value within 1e-4."""
    root = f"{shared}/golden/tensorflow_bottlenecks/mobilenet_0.25_128"
    suffix = "_mobilenet_0.25_128.txt"
    goldens = sorted(glob.glob(f"{root}/*/*{suffix}"))
    compare_bottlenecks(report, f"{shared}/models/mobilenet_v1_0.25_128/frozen_graph.pb", "input",
                        "MobilenetV1/Predictions/Reshape", 128, 127.5, goldens,
                        [g[:-len(suffix)] for g in goldens])
    root = f"{shared}/golden/inception_2015"
    with open(f"{root}/photos.tsv") as file:
        rows = [line.split("\t") for line in file.read().splitlines()[1:]]
    compare_bottlenecks(report, f"{shared}/models/inception_2015/classify_image_graph_def.pb", "Mul",
                        "pool_3/_reshape", 299, 128, [f"{root}/{r[0]}" for r in rows],
                        [f"{shared}/{r[2].split(' ')[0]}" for r in rows])


def compare_bottlenecks(report, graph, entry, layer, size, scale, goldens, photos):
    got = ours.layers(graph, entry, layer, size, scale, scale, "multiply", "output", photos)
    for (_, value), golden in zip(got, goldens):
        with open(golden) as file:
            want = np.array([float(x) for x in file.read().split(",")])
        apart = np.abs(value.ravel() - want).max() if value.size == want.size else float("inf")
        report.check(f"{os.path.basename(golden)}: greatest difference", apart, TOLERANCE)
