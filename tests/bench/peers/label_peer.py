# SPDX-License-Identifier: Apache-2.0
"""A peer's label_image, a process from start to exit:  label_peer.py PEER NETWORK HEAD SIZE PHOTO...

original: label_image.py of the codelab, NETWORK the retrained graph. keras: the same graph, tf.data, batches of 32 (Inception: 1).
onnxruntime, openvino: NETWORK the converted backbone, HEAD weights and bias as .npy; Pillow decodes and resizes, as
such programs do (its bilinear filter is not TensorFlow's, so scores differ in the second digit)."""
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def original(network, size, photos):
    import tensorflow.compat.v1 as tf

    graph, graph_def = tf.Graph(), tf.GraphDef()
    with open(network, "rb") as file:
        graph_def.ParseFromString(file.read())
    with graph.as_default():
        tf.import_graph_def(graph_def)
    source = "import/" + ("Mul" if size == 299 else "input") + ":0"
    for photo in photos:
        with tf.Graph().as_default():
            image = tf.expand_dims(tf.cast(tf.image.decode_jpeg(tf.read_file(photo), channels=3), tf.float32), 0)
            pixels = tf.divide(tf.subtract(tf.image.resize_bilinear(image, [size, size]), [128]), [128])
            pixels = tf.Session().run(pixels)
        with tf.Session(graph=graph) as session:
            yield photo, session.run("import/final_result:0", {source: pixels})[0]


def keras(network, size, photos):
    import tensorflow_peers as peers

    tf, tf1 = peers.tf, peers.tf1
    graph_def = peers.graphs.modern(peers.graphs.load_graph_def(network), "final_result")
    source = "Mul" if size == 299 else "input"

    def run(pixels):
        return tf1.import_graph_def(graph_def, name="", input_map={source + ":0": pixels}, return_elements=["final_result:0"])[0]

    frozen = tf1.wrap_function(run, [tf.TensorSpec([None, size, size, 3], tf.float32)])
    at = 0
    for batch in peers.dataset(list(photos), size, 1 if size == 299 else 32):  # Inception's reshape insists on one photo
        for scores in frozen(batch).numpy():
            yield photos[at], scores
            at += 1


def engine(peer, network, head, size, photos):
    import numpy as np
    from PIL import Image

    weights, cores = np.load(head), len(os.sched_getaffinity(0))
    import engine_peers as peers

    call = peers.onnx_call(network, cores) if peer == "onnxruntime" else peers.openvino_call(network, cores, 1)
    for photo in photos:
        image = Image.open(photo).convert("RGB").resize((size, size), Image.BILINEAR)
        pixels = (np.asarray(image, np.float32)[None] - 128) / 128
        logits = call(pixels)[0] @ weights[:-1] + weights[-1]
        scores = np.exp(logits - logits.max())
        yield photo, scores / scores.sum()


if __name__ == "__main__":
    peer, network, head, size, *photos = sys.argv[1:]
    size = int(size)
    found = (original(network, size, photos) if peer == "original" else keras(network, size, photos) if peer == "keras"
             else engine(peer, network, head, size, photos))
    for photo, scores in found:
        best = scores.argsort()[::-1][:5]
        print(photo, *(f"{i}={scores[i]:.5f}" for i in best))
