# SPDX-License-Identifier: Apache-2.0
"""Makes what lies beside it, by TensorFlow and Pillow, for tests/loaders/{optimize,quantize}_graph_test.cc and
pil_resize_test.cc:

graph.pb       a small network with every kind of node that optimize_for_inference knows: batch norm as
               BatchNormWithGlobalNormalization, FusedBatchNorm (after a depthwise convolution) and written out;
               Identity, CheckNumerics, control edges, a training branch that nothing needs
optimized.tsv  that graph after TensorFlow's steps in the order of the codelab's time (1.7: without the later fusing of
               batch norm that is written out): name, op, inputs, shape and values of constants
scores.tsv     bytes of a picture, 8 x 8, and what graph.pb gives for (x - 127.5) * (1 / 127.5)
eight_bits.tsv what quantize_v2 (MIN_COMBINED, quint8) makes of arrays, the range given and the range it used
rounded.tsv    what numpy makes of arrays by quantize_graph.py's rule for weights_rounded
lanczos.tsv    pictures made by a formula, resized by Pillow (Resampling.LANCZOS)

    PYTHONPATH=tests/oracle build/oracle-venv/bin/python tests/golden/tools/make.py
"""
import os

import numpy as np
from PIL import Image
from tensorflow.python.framework import graph_util
from tensorflow.python.tools import optimize_for_inference_lib, strip_unused_lib

import tf_reference as ref
from tf_reference import tf

HERE = os.path.dirname(os.path.abspath(__file__))


def write(name, header, lines):
    with open(f"{HERE}/{name}", "w") as file:
        file.write("\n".join(["\t".join(header)] + ["\t".join(map(str, line)) for line in lines]) + "\n")


def text(values):
    return ",".join(f"{v:.9g}" for v in np.ravel(values))


def wave(shape, step, low, high):
    """Numbers between low and high that repeat late; float32."""
    n = np.arange(np.prod(shape), dtype=np.int64)
    return (low + (high - low) * ((n * step) % 997) / 996.0).astype(np.float32).reshape(shape)


def picture(width, height):
    n = np.arange(width * height * 3, dtype=np.int64)
    return ((n * n * 31 + n * 7) % 256).astype(np.uint8).reshape(height, width, 3)


def network():
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [1, 8, 8, 3], "input")

        def variable(name, value):
            return tf.identity(tf.constant(value, name=name), name=name + "/read")

        w = variable("one/weights", wave((3, 3, 3, 4), 331, -0.5, 0.5))
        y = tf.nn.conv2d(x, w, [1, 2, 2, 1], "SAME", name="one/conv")
        tf.debugging.check_numerics(y, "not finite", name="one/check")
        with tf.control_dependencies([graph.get_operation_by_name("one/check")]):
            y = tf.identity(y, name="one/dependency")
        statistics = [variable(f"one/{n}", wave((4,), s, low, high))
                      for n, s, low, high in (("mean", 7, -1, 1), ("variance", 5, 0.5, 2), ("beta", 3, -1, 1),
                                              ("gamma", 11, 0.5, 1.5))]
        mean, variance, beta, gamma = statistics
        y = tf.raw_ops.FusedBatchNorm(x=y, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=0.001,
                                      is_training=False, name="one/norm").y
        y = tf.nn.relu6(y, name="one/relu")

        w = variable("two/weights", wave((3, 3, 4, 2), 177, -0.5, 0.5))
        y = tf.nn.depthwise_conv2d(y, w, [1, 1, 1, 1], "SAME", name="two/conv")
        scale, offset, mean, variance = [variable(f"two/{n}", wave((8,), s, low, high)) for n, s, low, high in (
            ("scale", 13, 0.5, 1.5), ("offset", 17, -1, 1), ("mean", 19, -1, 1), ("variance", 23, 0.5, 2))]
        y = tf.raw_ops.FusedBatchNorm(x=y, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=0.002,
                                      is_training=False, name="two/norm").y
        y = tf.nn.relu(y, name="two/relu")

        w = variable("three/weights", wave((1, 1, 8, 5), 211, -0.5, 0.5))
        y = tf.nn.conv2d(y, w, [1, 1, 1, 1], "SAME", name="three/conv")
        gamma, beta, mean, variance = [variable(f"three/{n}", wave((5,), s, low, high)) for n, s, low, high in (
            ("gamma", 29, 0.5, 1.5), ("beta", 31, -1, 1), ("mean", 37, -1, 1), ("variance", 41, 0.5, 2))]
        factor = tf.multiply(tf.math.rsqrt(tf.add(variance, np.float32(0.001), "three/add")), gamma, "three/mul")
        y = tf.add(tf.multiply(y, factor, "three/mul_1"),
                   tf.subtract(beta, tf.multiply(mean, factor, "three/mul_2"), "three/sub"), "three/add_1")
        y = tf.nn.relu6(y, name="three/relu")
        tf.nn.dropout(y, rate=0.5, name="training/dropout")
        y = tf.reduce_mean(y, [1, 2], name="pool")
        tf.nn.softmax(tf.identity(y, name="logits"), name="final_result")
    graph_def = graph.as_graph_def()
    graph_def.ClearField("versions")
    # A later TensorFlow runs the old op, but does not make it.
    old = next(node for node in graph_def.node if node.name == "one/norm")
    x, gamma, beta, mean, variance = old.input
    old.op = "BatchNormWithGlobalNormalization"
    old.input[:] = [x, mean, variance, beta, gamma]
    for name in list(old.attr):
        if name != "T":
            del old.attr[name]
    old.attr["variance_epsilon"].f = 0.001
    old.attr["scale_after_normalization"].b = True
    return graph_def


def optimized(graph_def):
    steps = strip_unused_lib.strip_unused(graph_def, ["input"], ["final_result"], tf.float32.as_datatype_enum)
    steps = graph_util.remove_training_nodes(steps, ["final_result"])
    steps = optimize_for_inference_lib.fold_batch_norms(steps)
    steps = optimize_for_inference_lib.fuse_resize_and_conv(steps, ["final_result"])
    lines = []
    for node in steps.node:
        value = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
        lines.append([node.name, node.op, ",".join(node.input),
                      "" if value is None else "x".join(map(str, value.shape)), "" if value is None else text(value)])
    write("optimized.tsv", ["node", "op", "inputs", "shape", "values"], lines)


ARRAYS = {
    "wide": wave((40,), 331, -3, 5), "positive": wave((9,), 7, 1, 2), "negative": wave((9,), 7, -4, -2),
    "epsilon": np.array([0.001], np.float32), "zero": np.zeros(3, np.float32), "one": np.full(4, 1, np.float32),
    "minus_two": np.full(2, -2, np.float32), "narrow": wave((6,), 5, -0.002, 0.003),
    "far_narrow": wave((6,), 5, 100, 100.5), "small": wave((7,), 3, -0.011, 0.009),
}


def eight_bits():
    lines = []
    for name, values in ARRAYS.items():
        low, high = min(float(values.min()), 0.0), float(values.max())
        if low == high:
            high = low + 1.0 if abs(low) < 1e-6 else low / 2.0
        graph = tf.Graph()
        with graph.as_default():
            codes = tf.quantization.quantize(values, low, high, tf.quint8, mode="MIN_COMBINED")
            back = tf.quantization.dequantize(codes.output, low, high, mode="MIN_COMBINED")
        with ref.session(graph) as session:
            codes, back = session.run([codes, back])
        lines.append([name, text(values), text([low, high]), text([codes.output_min, codes.output_max]),
                      ",".join(str(int(v)) for v in codes.output.view(np.uint8)), text(back)])
    write("eight_bits.tsv", ["name", "values", "range", "range_used", "bytes", "dequantized"], lines)


def rounded():
    lines = []
    for name, values in ARRAYS.items():
        for bits in (8, 3):
            low, high = values.min(), values.max()
            result = values
            if low != high:
                width = np.float32((high - low) / np.float32(1 << bits))
                index = np.floor((values - low) / width)
                index[index == (1 << bits)] = (1 << bits) - 1
                result = low + width * (index + np.float32(0.5))
            lines.append([name, bits, text(values), text(result.astype(np.float32))])
    write("rounded.tsv", ["name", "bits", "values", "rounded"], lines)


def lanczos():
    lines = []
    for width, height, out_width, out_height in ((9, 7, 4, 3), (5, 6, 11, 13), (40, 3, 8, 8), (4, 4, 4, 2), (1, 1, 3, 2),
                                                 (6, 5, 6, 5)):
        result = np.asarray(Image.fromarray(picture(width, height)).resize((out_width, out_height), Image.Resampling.LANCZOS))
        lines.append([width, height, out_width, out_height, ",".join(map(str, result.ravel()))])
    write("lanczos.tsv", ["width", "height", "out_width", "out_height", "bytes"], lines)


def main():
    graph_def = network()
    with open(f"{HERE}/graph.pb", "wb") as file:
        file.write(graph_def.SerializeToString(deterministic=True))
    optimized(graph_def)
    pixels = (picture(8, 8)[None].astype(np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)
    with ref.session(ref.import_graph(f"{HERE}/graph.pb")) as session:
        values = session.run("final_result:0", {"input:0": pixels})
    write("scores.tsv", ["bytes", "scores"], [[",".join(map(str, picture(8, 8).ravel())), text(values)]])
    eight_bits()
    rounded()
    lanczos()


if __name__ == "__main__":
    main()
