# SPDX-License-Identifier: Apache-2.0
"""Frozen graphs through TensorFlow: where they are entered and left, and what of them is constant."""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "oracle"))
from frozen import load_graph_def, relative_l2  # noqa: E402, F401

tf1 = tf.compat.v1
tf.get_logger().setLevel("ERROR")  # its advice to use newer functions


def ends(graph_def):
    """(input, output, size): the nodes around the backbone, and the pixels a side."""
    names = {node.name: node for node in graph_def.node}
    if "pool_3" in names:  # its reshape behind it insists on one photo
        return "Mul", "pool_3", 299
    size = names["input"].attr["shape"].shape.dim[1].size
    return "input", "MobilenetV1/Logits/SpatialSqueeze", size


def normalization(size):
    """retrain.py's mean and standard deviation: 128 for Inception, 127.5 for MobileNet."""
    return 128.0 if size == 299 else 127.5


def evaluated(graph_def, source, wanted):
    """({name: value} of what the nodes behind `wanted` need that does not follow from `source`, the others in order)."""
    nodes = {node.name: node for node in graph_def.node}
    varying, order = {source: True}, []

    def visit(name):
        name = name.split(":")[0].lstrip("^")
        if name in varying:
            return varying[name]
        node = nodes[name]
        inputs = [visit(i) for i in node.input if not i.startswith("^")]
        varying[name] = any(inputs)
        if varying[name]:
            order.append(node)
        return varying[name]

    visit(wanted)
    needed = {i.split(":")[0] for node in order for i in node.input if not i.startswith("^")}
    constants = sorted(name for name in needed if not varying[name])
    with tf.Graph().as_default() as graph:
        tf1.import_graph_def(graph_def, name="")
        with tf1.Session(graph=graph) as session:
            values = session.run([name + ":0" for name in constants])
    return dict(zip(constants, values)), order


def modern(graph_def, wanted):
    """The graph up to `wanted` in operations that TensorFlow 2 still has: the batch norm of 2015 as a multiplication and
    an addition, which it then fuses into the convolution; checks of numbers are left out."""
    graph_def = tf1.graph_util.extract_sub_graph(graph_def, [wanted])
    constants = {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in graph_def.node if node.op == "Const"}
    made = tf1.GraphDef()

    def add(op, name, inputs, **tensors):
        node = made.node.add(op=op, name=name, input=inputs)
        node.attr["dtype" if op == "Const" else "T"].type = tf.float32.as_datatype_enum
        for key, value in tensors.items():
            node.attr[key].tensor.CopyFrom(tf.make_tensor_proto(np.float32(value)))

    for node in graph_def.node:
        if node.op == "BatchNormWithGlobalNormalization":
            mean, variance, beta, gamma = (np.float64(constants[name]) for name in node.input[1:])
            scale = 1 / np.sqrt(variance + node.attr["variance_epsilon"].f)
            if node.attr["scale_after_normalization"].b:
                scale *= gamma
            add("Const", node.name + "/scale", [], value=scale)
            add("Const", node.name + "/offset", [], value=beta - mean * scale)
            add("Mul", node.name + "/scaled", [node.input[0], node.name + "/scale"])
            add("BiasAdd", node.name, [node.name + "/scaled", node.name + "/offset"])
        elif node.op == "CheckNumerics":
            add("Identity", node.name, node.input[:1])
        else:
            copy = made.node.add()
            copy.CopyFrom(node)
            if node.op == "Identity":  # whose control inputs are checks
                del copy.input[1:]
    return made


class Backbone:
    """The graph between its ends in a TensorFlow session of its own, for any number of photos."""

    def __init__(self, graph_path, threads=0):
        graph_def = load_graph_def(graph_path)
        source, output, self.size = ends(graph_def)
        with tf.Graph().as_default() as graph:
            self.pixels = tf1.placeholder(tf.float32, [None, self.size, self.size, 3])
            (self.vectors,) = tf1.import_graph_def(graph_def, name="", input_map={source + ":0": self.pixels},
                                                   return_elements=[output + ":0"])
        config = tf1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1 if threads == 1 else 0)
        self.session = tf1.Session(graph=graph, config=config)

    def __call__(self, pixels):
        return self.session.run(self.vectors, {self.pixels: pixels}).reshape(len(pixels), -1)
