# SPDX-License-Identifier: Apache-2.0
"""The second codelab's tools: what they write TensorFlow loads and computes the same, and we take it."""
import json
import os
import re
import shutil

import numpy as np
from PIL import Image
from tensorflow.python.framework import graph_util, op_def_registry
from tensorflow.python.tools import optimize_for_inference_lib, strip_unused_lib

import ours
import tf_reference as ref
from check_layers import RETRAINED, flower_photos
from tf_reference import tf

INCEPTION = "inception_2015/classify_image_graph_def.pb"


def check(report, shared):
    """What the tools write TensorFlow loads and computes the same; evaluate's figures are the original's."""
    work = os.path.abspath(f"{ours.BUILD}/oracle_tools")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    for path in RETRAINED[:1] + RETRAINED[2:]:
        check_optimized_nodes(report, f"{shared}/models/retrained/{path}", work)
    check_written(report, shared, f"{shared}/models/retrained/{RETRAINED[0]}", work, "input", "final_result", 128, 127.5)
    check_written(report, shared, f"{shared}/models/{INCEPTION}", work, "Mul", "softmax", 299, 128)
    check_small_constants(report, f"{shared}/models/retrained/{RETRAINED[0]}", work)
    check_event_graph(report, f"{shared}/models/retrained/{RETRAINED[0]}", work)
    check_evaluate(report, shared, work)


def optimize(graph, output, source, wanted, *flags):
    ours.run("optimize_for_inference", f"--input={graph}", f"--output={output}", f"--input_names={source}",
             f"--output_names={wanted}", *flags)
    return output


def quantize(graph, output, wanted, *flags):
    ours.run("quantize_graph", f"--input={graph}", f"--output={output}", f"--output_node_names={wanted}", *flags)
    return output


def check_optimized_nodes(report, path, work):
    """TensorFlow's own steps, without the fusing of batch norm that it learnt after the codelab."""
    steps = strip_unused_lib.strip_unused(ref.load_graph_def(path), ["input"], ["final_result"],
                                          tf.float32.as_datatype_enum)
    steps = graph_util.remove_training_nodes(steps, ["final_result"])
    steps = optimize_for_inference_lib.fold_batch_norms(steps)
    got = ref.load_graph_def(optimize(path, f"{work}/nodes.pb", "input", "final_result"))

    def form(node):
        """A late TensorFlow keeps the placeholder's shape."""
        return node.name, node.op, list(node.input), {k: v.SerializeToString() for k, v in node.attr.items()
                                                      if node.op != "Placeholder" or k != "shape"}

    report.expect(f"{path.split('/')[-2]}: {len(got.node)} nodes as TensorFlow's tool gives, attributes too",
                  [form(n) for n in got.node] == [form(n) for n in steps.node])
    report.expect("count_ops counts as TensorFlow does",
                  int(ours.run("count_ops", path)) == len(ref.import_graph(path).get_operations()))


def scores(path, source, wanted, pixels):
    with ref.session(ref.import_graph(path), threads=2) as session:
        return [np.squeeze(session.run(f"{wanted}:0", {f"{source}:0": p})) for p in pixels]


def exact_scores(path, source, wanted, pixels):
    """TensorFlow's scores of the graph in double precision: no rounding is left but ours."""
    with ref.session(ref.import_graph(path)) as session:
        weights = {op.name: session.run(op.outputs[0]) for op in session.graph.get_operations() if op.type == "Dequantize"}
    double, single = tf.float64.as_datatype_enum, tf.float32.as_datatype_enum
    whole = ref.load_graph_def(path)
    for node in whole.node:
        if node.name == source:
            node.CopyFrom(tf.NodeDef(name=source, op="Placeholder"))
        if node.name in weights:
            node.CopyFrom(tf.NodeDef(name=node.name, op="Const"))
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights[node.name]))
    graph_def = graph_util.extract_sub_graph(whole, [wanted])
    for node in graph_def.node:
        for attr in op_def_registry.get(node.op).attr:
            if attr.name in ("T", "dtype") and node.attr[attr.name].type in (0, single):
                node.attr[attr.name].type = double
        if node.attr["value"].tensor.dtype == single:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(node.attr["value"].tensor).astype(np.float64)))
    with ref.session(ref.import_graph_def(graph_def), threads=2) as session:
        return [np.squeeze(session.run(f"{wanted}:0", {f"{source}:0": p.astype(np.float64)})) for p in pixels]


def our_scores(path, source, wanted, size, mean, photos):
    return [value.ravel() for _, value in
            ours.layers(path, source, wanted, size, mean, mean, "multiply", "output", photos)]


def check_written(report, shared, path, work, source, wanted, size, mean):
    title = os.path.basename(os.path.dirname(path))
    photos = flower_photos(shared, 2 if size > 224 else 5)
    preprocess = ref.Preprocess(size, mean, mean)
    pixels = [preprocess(photo) for photo in photos]
    before = exact_scores(path, source, wanted, pixels)
    written = {
        "optimized": optimize(path, f"{work}/optimized.pb", source, wanted),
        "folded": optimize(path, f"{work}/folded.pb", source, wanted, "--fold"),
    }
    written["rounded"] = quantize(written["folded"], f"{work}/rounded.pb", wanted, "--mode=weights_rounded")
    written["8 bits"] = quantize(path, f"{work}/weights.pb", wanted, "--mode=weights")
    written["8 bits, with the bug"] = quantize(path, f"{work}/bug.pb", wanted, "--mode=weights", "--tiny_constants_bug")
    for name, file in written.items():
        after = scores(file, source, wanted, pixels)
        mine = our_scores(file, source, wanted, size, mean, photos)
        # In double precision: on a photo at the border of two classes TensorFlow's floats are up to 8e-6 off themselves (and by
        # another 8e-6 for a folded graph; how far, the CPU says), and beside them nobody's sum in another order is sure to stay within 1e-5.
        exact = exact_scores(file, source, wanted, pixels)
        if name in ("optimized", "folded"):
            report.check(f"{title}, {name}, {len(ref.load_graph_def(file).node)} nodes: TensorFlow's scores stay",
                         max(np.abs(a - b).max() for a, b in zip(before, exact)), 1e-5)
        theirs = max(np.abs(a - b).max() for a, b in zip(after, exact))
        report.check(f"{title}, {name}: our scores of it beside TensorFlow's in double precision (its floats: {theirs:.1e})",
                     max(np.abs(a - b).max() for a, b in zip(mine, exact)), 1e-5)


def check_small_constants(report, path, work):
    """The original's bug is TensorFlow's answer to what it stores; without it nothing is off by more than a step."""
    constants = {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in ref.load_graph_def(path).node
                 if n.op == "Const" and n.attr["dtype"].type == tf.float32.as_datatype_enum}
    epsilons = [n for n, v in constants.items() if n.endswith("/batchnorm/add/y")]
    for flags, wanted in (([], 0.001), (["--tiny_constants_bug"], np.float32(26) * np.float32(0.001) / 255)):
        file = quantize(path, f"{work}/small.pb", "final_result", "--mode=weights", *flags)
        with ref.session(ref.import_graph(file)) as session:
            values = session.run({name: f"{name}:0" for name in constants})
        apart = max(abs(float(values[n]) - wanted) for n in epsilons)
        report.check(f"epsilon of {len(epsilons)} batch norms {' '.join(flags) or 'left alone'}", apart, 1e-9)
        if not flags:
            steps = [np.abs(values[n] - v).max() / max((max(v.max(), 0) - min(v.min(), 0)) / 255, 1e-30)
                     for n, v in constants.items() if (values[n] != v).any()]
            report.check(f"{len(steps)} constants in 8 bits: furthest, in steps", max(steps), 0.51)


def check_event_graph(report, path, work):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    ours.run("graph_pb2tb", f"{work}/summary", path)
    got = EventAccumulator(f"{work}/summary").Reload().Graph()
    report.expect("graph_pb2tb: TensorBoard reads nodes, operations and edges",
                  [(n.name, n.op, list(n.input)) for n in got.node] ==
                  [(n.name, n.op, list(n.input)) for n in ref.load_graph_def(path).node])


def check_evaluate(report, shared, work):
    """A graph retrained on the shared flowers; the photos sized by Pillow, the figures by numpy."""
    flowers = f"{shared}/data/flower_photos"
    model = f"{shared}/models/mobilenet_v1_0.25_128/frozen_graph.pb"
    ours.run("retrain", f"--image_dir={flowers}", f"--model_file={model}", f"--bottleneck_dir={work}/bottlenecks",
             f"--summaries_dir={work}/summaries", f"--output_graph={work}/retrained_graph.pb",
             f"--output_labels={work}/retrained_labels.txt", "--how_many_training_steps=200")
    logits, wrong = [], 0
    lists = ref.create_image_lists(flowers)
    with ref.session(ref.import_graph(f"{work}/retrained_graph.pb")) as session:
        for label, files in enumerate(lists.values()):
            for file in files["testing"]:
                image = Image.open(f"{flowers}/{files['dir']}/{file}")
                # Columns, then rows, as Pillow of the codelab's time; a late one does some tall photos the other way.
                for size in ((128, image.height), (128, 128)):
                    image = image.resize(size, Image.Resampling.LANCZOS)
                pixels = (np.array(image, dtype=np.float32)[None] - 128) / 128.0
                row = session.run("final_training_ops/Wx_plus_b/add:0", {"input:0": pixels})[0].astype(np.float64)
                logits.append(np.log(np.exp(row - row.max()).sum()) - (row[label] - row.max()))
                wrong += int(row.argmax() != label)
    printed = ours.run("evaluate", f"{work}/retrained_graph.pb", f"--image_dir={flowers}", "--pil_resize").decode()
    match = re.fullmatch(r"Accuracy: (\S+)\nCross Entropy: (\S+)\n", printed)
    report.expect(f"evaluate prints what evaluate.py prints: {json.dumps(printed)}", bool(match))
    if match:
        report.check(f"accuracy of {len(logits)} photos", abs(float(match[1]) - (1 - wrong / len(logits))), 1e-6)
        report.check("cross entropy", abs(float(match[2]) - np.mean(logits)), 1e-4)
