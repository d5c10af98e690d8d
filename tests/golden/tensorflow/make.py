# SPDX-License-Identifier: Apache-2.0
"""Makes the small tables beside it, by TensorFlow, for tests/models/golden_test.cc:

scores.tsv   outputs of the shared retrained graphs for eight photos; mode multiply is retrain.py's
             preprocessing (x - mean) * (1 / std), divide is label_image.py's (x - mean) / std
layers.tsv   every convolution, activation and what follows, of a float graph, of one with eight-bit weights
             and of the default backbone (make it again whenever that changes): mean, standard deviation,
             least, greatest and the first eight values, for one photo
sgd.tsv      the last layer's training: loss and parameters over five steps on numbers made by a formula

    PYTHONPATH=tests/oracle build/oracle-venv/bin/python tests/golden/tensorflow/make.py
"""
import os

import numpy as np

import tf_reference as ref
from tf_reference import tf

HERE = os.path.dirname(os.path.abspath(__file__))
RETRAINED = ["scratches_0.25_128/retrained_graph.pb", "scratches_0.25_128/optimized_graph.pb",
             "plates_0.25_128_addv2/retrained_graph.pb"]
DEFAULT = "weights/couplet_mobilenet_v1_0.25_128.pb"
LAYERS = [("mobilenet_v1_0.25_128/frozen_graph.pb", 128), ("mobilenet_v1_0.50_224/quantized_graph.pb", 224),
          (DEFAULT, 128)]
VALUE_OPS = {"Conv2D", "DepthwiseConv2dNative", "Relu6", "AvgPool", "BiasAdd", "Reshape", "Softmax"}


def photos(shared):
    """Two photos of each of the first four classes, by name."""
    root = f"{shared}/data/flower_photos"
    folders = sorted(f for f in os.listdir(root) if os.path.isdir(f"{root}/{f}"))[:4]
    return [f"{folder}/{file}" for folder in folders for file in sorted(os.listdir(f"{root}/{folder}"))[7:9]]


def write(name, lines):
    with open(f"{HERE}/{name}", "w") as file:
        file.write("\n".join(lines) + "\n")


def text(values):
    return ",".join(f"{v:.9g}" for v in np.ravel(values))


def scores(shared):
    lines = ["graph\tphoto\tmode\tmean\tstd\tlayer\tvalues"]
    for path in RETRAINED:
        graph = ref.import_graph(f"{shared}/models/retrained/{path}")
        for mode, mean, std in (("multiply", 127.5, 127.5), ("divide", 128, 128)):
            preprocess = ref.Preprocess(128, mean, std, mode)
            with ref.session(graph) as session:
                for photo in photos(shared):
                    pixels = preprocess(f"{shared}/data/flower_photos/{photo}")
                    for layer in ("final_training_ops/Wx_plus_b/add", "final_result"):
                        values = session.run(layer + ":0", {"input:0": pixels})
                        lines.append(f"{path}\t{photo}\t{mode}\t{mean}\t{std}\t{layer}\t{text(values)}")
    write("scores.tsv", lines)


def layers(shared):
    photo = photos(shared)[0]
    lines = ["graph\tphoto\tnode\tshape\tmean\tstd\tmin\tmax\tfirst_8_values"]
    for path, size in LAYERS:
        graph = ref.import_graph(path if path == DEFAULT else f"{shared}/models/{path}")
        names = ["input"] + [op.name for op in graph.get_operations() if op.type in VALUE_OPS]
        with ref.session(graph) as session:
            outputs = session.run([n + ":0" for n in names],
                                  {"input:0": ref.Preprocess(size, 127.5, 127.5)(
                                      f"{shared}/data/flower_photos/{photo}")})
        for name, value in zip(names, outputs):
            v = value.astype(np.float64)
            statistics = [f"{x:.9g}" for x in (v.mean(), v.std(), v.min(), v.max())]
            lines.append("\t".join([path, photo, name, "x".join(map(str, value.shape)), *statistics,
                                    text(value.ravel()[:8])]))
    write("layers.tsv", lines)


def sgd():
    """Seven features, three classes, batches of four: numbers that are exact in float32 on every machine."""
    features, classes, batch, steps = 7, 3, 4, 5
    count = batch * steps
    x = np.array([[(5 * i * i + 3 * j + i * j) % 17 - 8 for j in range(features)] for i in range(count)])
    y = np.array([(i * i + i // 3) % classes for i in range(count)], np.int64)
    w = np.array([[(7 * i + 11 * j) % 13 - 6 for j in range(classes)] for i in range(features)])
    x, w = x.astype(np.float32) / 4, w.astype(np.float32) / 64
    with tf.Graph().as_default() as graph:
        rows, labels = tf.placeholder(tf.float32, [None, features]), tf.placeholder(tf.int64, [None])
        weights, biases = tf.Variable(w), tf.Variable(tf.zeros([classes]))
        logits = tf.matmul(rows, weights) + biases
        loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
        with tf.control_dependencies([tf.identity(loss)]):
            step = tf.train.GradientDescentOptimizer(0.25).minimize(loss)
        initialize = tf.global_variables_initializer()
    lines = ["what\tvalues"]
    with ref.session(graph) as session:
        session.run(initialize)
        for i in range(steps):
            feed = {rows: x[i * batch:(i + 1) * batch], labels: y[i * batch:(i + 1) * batch]}
            lines.append(f"loss {i}\t{text(session.run(loss, feed))}")
            session.run(step, feed)
        lines.append(f"weights\t{text(session.run(weights))}")
        lines.append(f"biases\t{text(session.run(biases))}")
    write("sgd.tsv", lines)


def main():
    shared = ref.shared_dir()
    scores(shared)
    layers(shared)
    sgd()


if __name__ == "__main__":
    main()
