# SPDX-License-Identifier: Apache-2.0
"""Two peers that compute with TensorFlow: the original's way (retrain.py, TensorFlow 1 graphs and sessions, one photo a
run, a text file a vector) and Keras with tf.data in batches of 32. Both through the same frozen graph."""
import functools
import glob
import os
import shutil
import time

import numpy as np

import graphs
import rates
from graphs import tf, tf1


def photos_in(folder, count):
    """`count` of them from all over, as ours are: neighbours are of one class, and one class's files are larger than another's."""
    everything = sorted(glob.glob(os.path.join(folder, "*", "*.jpg")))
    count = min(count, len(everything))
    return [everything[i * len(everything) // count] for i in range(count)]


def labels_of(paths):
    names = sorted({os.path.dirname(path) for path in paths})
    return np.array([names.index(os.path.dirname(path)) for path in paths], np.int64), len(names)


@functools.lru_cache(maxsize=8)
def backbone_of(graph, threads):
    return graphs.Backbone(graph, threads)


def backbone(graph, pixels, threads, batch, seconds):
    net = backbone_of(graph, threads)
    return rates.rate(net, np.load(pixels), batch, seconds)


class Original:
    """run_bottleneck_on_image: decode in one session.run, the network in another, the vector as text."""

    def __init__(self, graph):
        self.net = graphs.Backbone(graph)
        size = self.net.size
        with tf.Graph().as_default() as jpeg:
            self.data = tf1.placeholder(tf.string)
            image = tf1.expand_dims(tf1.cast(tf1.image.decode_jpeg(self.data, channels=3), tf.float32), 0)
            resized = tf1.image.resize_bilinear(image, [size, size])
            middle = graphs.normalization(size)
            self.resized = tf1.multiply(tf1.subtract(resized, middle), 1.0 / middle)
        self.decode = tf1.Session(graph=jpeg)

    def pixels(self, path):
        with open(path, "rb") as file:
            return self.decode.run(self.resized, {self.data: file.read()})

    def cache(self, paths, folder):
        files = []
        for i, path in enumerate(paths):
            vector = np.squeeze(self.net(self.pixels(path)))
            files.append(os.path.join(folder, f"{i}_{os.path.basename(path)}.txt"))
            with open(files[-1], "w", encoding="ascii") as file:
                file.write(",".join(str(x) for x in vector))
        return files


def read_vector(path):
    with open(path, encoding="ascii") as file:
        return [float(x) for x in file.read().split(",")]


def original_steps(features, classes, labels, files, steps, events):
    """Seconds of retrain.py's loop: every step reads a hundred text files; summaries; validation every 10 steps."""
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, [None, features])
        y = tf1.placeholder(tf.int64, [None])
        weights = tf1.Variable(tf1.truncated_normal([features, classes], stddev=0.001))
        logits = tf1.matmul(x, weights) + tf1.Variable(tf1.zeros([classes]))
        loss = tf1.losses.sparse_softmax_cross_entropy(y, logits)
        tf1.summary.scalar("cross_entropy", loss)
        tf1.summary.histogram("weights", weights)
        tf1.summary.histogram("activations", tf1.nn.softmax(logits))
        accuracy = tf1.reduce_mean(tf1.cast(tf1.equal(tf1.argmax(logits, 1), y), tf.float32))
        tf1.summary.scalar("accuracy", accuracy)
        merged = tf1.summary.merge_all()
        step = tf1.train.GradientDescentOptimizer(0.01).minimize(loss)
        writer = tf1.summary.FileWriter(events, graph)
        draw = np.random.default_rng(1)
        with tf1.Session(graph=graph) as session:
            session.run(tf1.global_variables_initializer())

            def batch():
                chosen = draw.integers(len(files), size=100)
                return {x: [read_vector(files[i]) for i in chosen], y: labels[chosen]}

            session.run([merged, step], batch())
            start = time.perf_counter()
            for i in range(steps):
                feed = batch()
                summary, _ = session.run([merged, step], feed)
                writer.add_summary(summary, i)
                if i % 10 == 0:
                    session.run([accuracy, loss], feed)
                    summary, _ = session.run([merged, accuracy], batch())
                    writer.add_summary(summary, i)
            return time.perf_counter() - start


@functools.lru_cache(maxsize=2)
def original_of(graph):
    return Original(graph)


def original_vectors(graph, photos, count, temp):
    made = original_of(graph)
    paths = photos_in(photos, count)
    os.makedirs(temp, exist_ok=True)
    made.cache(paths[:2], temp)
    start = time.perf_counter()
    made.cache(paths, temp)
    return len(paths) / (time.perf_counter() - start)


@functools.lru_cache(maxsize=8)
def text_cache(features, temp):
    """Files of 300 vectors as the original writes them; which they are does not matter to the time."""
    folder = os.path.join(temp, f"text{features}")
    os.makedirs(folder, exist_ok=True)
    files = [os.path.join(folder, f"{i}.txt") for i in range(300)]
    for i, path in enumerate(files):
        vector = np.random.default_rng(i).random(features, np.float32) * 2
        with open(path, "w", encoding="ascii") as file:
            file.write(",".join(str(x) for x in vector))
    return files


def original_steps_row(features, classes, steps, sample, temp):
    files = text_cache(features, temp)
    labels = np.arange(len(files)) % classes
    return original_steps(features, classes, labels, files, sample, os.path.join(temp, "events")) * steps / sample


@functools.lru_cache(maxsize=2)
def keras_of(graph_path):
    """The frozen graph as a layer of a Keras model, up to the vectors: what follows insists on one photo."""
    graph_def = graphs.load_graph_def(graph_path)
    source, output, size = graphs.ends(graph_def)
    graph_def = graphs.modern(graph_def, output)

    def run(pixels):
        (vectors,) = tf1.import_graph_def(graph_def, name="", input_map={source + ":0": pixels},
                                          return_elements=[output + ":0"])
        return tf.reshape(vectors, [tf.shape(pixels)[0], -1])

    frozen = tf1.wrap_function(run, [tf.TensorSpec([None, size, size, 3], tf.float32)])

    class Frozen(tf.keras.layers.Layer):
        def call(self, pixels):
            return frozen(pixels)

        def compute_output_shape(self, shape):
            return shape[0], 2048 if size == 299 else 1001

    inputs = tf.keras.Input([size, size, 3])
    return tf.keras.Model(inputs, Frozen()(inputs)), size


def fixed(data):
    """Without tf.data's tuner, which at a pipeline's end sleeps on to its next look, 0.31, 0.63, 1.27 s after the start and so on:
    0.25_128 with Keras 775 photos/s with AUTOTUNE, 890 to 1,100 with a thread a core and four batches ahead."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def dataset(paths, size, batch):
    def pixels(path):
        image = tf.cast(tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_FAST"), tf.float32)
        resized = tf1.image.resize_bilinear(image[tf.newaxis], [size, size])[0]
        middle = graphs.normalization(size)
        return (resized - middle) * (1.0 / middle)

    return fixed(tf.data.Dataset.from_tensor_slices(paths).map(pixels, rates.CORES).batch(batch).prefetch(4))


def keras_vectors(graph, photos, count, temp):
    model, size = keras_of(graph)
    paths = photos_in(photos, count)
    model.predict(dataset(paths[:40], size, 32), verbose=0)
    start = time.perf_counter()
    np.save(os.path.join(temp, "keras.npy"), model.predict(dataset(paths, size, 32), verbose=0))
    return len(paths) / (time.perf_counter() - start)


def keras_fit(vectors, labels, classes, steps, events=None):
    model = tf.keras.Sequential([tf.keras.Input([vectors.shape[1]]), tf.keras.layers.Dense(classes)])
    model.compile(tf.keras.optimizers.SGD(0.01), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    data = fixed(tf.data.Dataset.from_tensor_slices((vectors, labels)).shuffle(len(vectors)).repeat().batch(100).prefetch(4))
    callbacks = [tf.keras.callbacks.TensorBoard(events, histogram_freq=0)] if events else []
    model.fit(data.take(20), epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=callbacks)
    return model, time.perf_counter() - start


def keras_steps_row(features, classes, steps, sample, temp):
    vectors = np.random.default_rng(1).random((3000, features), np.float32) * 2
    return keras_fit(vectors, np.arange(3000) % classes, classes, sample, os.path.join(temp, "keras"))[1] * steps / sample


def retrain_original(graph, photos, sample, step_sample, temp):
    """A whole retrain on a sample, and the seconds of what grows: {"photos": with photos, "steps": with steps}."""
    folder = os.path.join(temp, "retrain")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    paths = photos_in(photos, sample)
    made = Original(graph)
    made.cache(paths[:1], folder)
    start = time.perf_counter()
    files = made.cache(paths, folder)
    extraction = time.perf_counter() - start
    labels, classes = labels_of(paths)
    seconds = original_steps(len(read_vector(files[0])), classes, labels, files, step_sample, os.path.join(folder, "events"))
    return {"photos": extraction, "steps": seconds}


def retrain_keras(graph, photos, sample, step_sample, temp):
    model, size = keras_of(graph)
    paths = photos_in(photos, sample)
    model.predict(dataset(paths[:33], size, 32), verbose=0)
    start = time.perf_counter()
    vectors = model.predict(dataset(paths, size, 32), verbose=0)
    extraction = time.perf_counter() - start
    labels, classes = labels_of(paths)
    _, seconds = keras_fit(vectors, labels, classes, step_sample, os.path.join(temp, "keras"))
    return {"photos": extraction, "steps": seconds}
