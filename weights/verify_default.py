# SPDX-License-Identifier: Apache-2.0
"""Runs the exported default backbone through TensorFlow: its nodes are the template's, its outputs PyTorch's.

    build/oracle-venv/bin/python weights/verify_default.py GRAPH build/train-default/outputs.npz TEMPLATE
"""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402


def load(path):
    graph_def = tf.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    return graph_def


def main():
    graph_path, outputs_path, template_path = sys.argv[1:]
    graph_def, template = load(graph_path), load(template_path)
    same = [(n.name, n.op, list(n.input)) for n in graph_def.node] == [
        (n.name, n.op, list(n.input)) for n in template.node]
    print(f"{len(graph_def.node)} nodes, names, ops and inputs as in the template: {same}")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    want = np.load(outputs_path)
    worst = 0.0
    with tf.Session(graph=graph) as session:
        for name, node in (("block_13", "MobilenetV1/MobilenetV1/Conv2d_13_pointwise/Relu6"),
                           ("logits", "MobilenetV1/Predictions/Reshape")):
            got = np.concatenate([session.run(node + ":0", {"input:0": view[None]}) for view in want["pixels"]])
            apart = np.linalg.norm(got - want[name]) / np.linalg.norm(want[name])
            print(f"{name}: relative L2 {apart:.2e}, greatest difference {np.abs(got - want[name]).max():.2e}")
            worst = max(worst, float(apart)) if np.isfinite(apart) else float("inf")
    return 0 if same and worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
