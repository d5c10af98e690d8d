# SPDX-License-Identifier: Apache-2.0
"""Makes tensorflow.tsv: test accuracy of the last layer trained by TensorFlow, 5 splits x 5 seeds.

The vectors of the 1,000 shared flowers (Google's MobileNet 0.25_128) are computed once through TensorFlow.
The split depends on how the path is spelt, so five spellings of one folder are five splits. The head is
retrain.py's: 4000 steps, batches of 100 drawn class-uniformly, learning rate 0.01, truncated normal 0.001;
the accuracy is over the whole test split.

    PYTHONPATH=tests/oracle build/oracle-venv/bin/python tests/golden/head_accuracy/make.py
"""
import os
import random
import sys
import tempfile

import numpy as np

import tf_reference as ref
from tf_reference import tf

# Run from a folder in which flower_1000 and tf_files/flower_1000 are links to the photos.
SPELLINGS = ["tf_files/flower_1000", "flower_1000", "./flower_1000", "./tf_files/flower_1000",
             "tf_files/../flower_1000"]
SEEDS = range(5)
STEPS, BATCH, LEARNING_RATE = 4000, 100, 0.01


def bottlenecks(photos_dir):
    """{folder/file: [1001]}"""
    preprocess = ref.Preprocess(128, 127.5, 127.5)
    graph = ref.import_graph(f"{ref.shared_dir()}/models/mobilenet_v1_0.25_128/frozen_graph.pb")
    vectors = {}
    with ref.session(graph) as session:
        for folder in sorted(os.listdir(photos_dir)):
            if os.path.isdir(f"{photos_dir}/{folder}"):
                for file in sorted(os.listdir(f"{photos_dir}/{folder}")):
                    vectors[f"{folder}/{file}"] = session.run(
                        "MobilenetV1/Predictions/Reshape:0",
                        {"input:0": preprocess(f"{photos_dir}/{folder}/{file}")})[0]
    return vectors


def train(lists, vectors, seed):
    """Final test accuracy."""
    rng = random.Random(seed)
    classes = list(lists.values())

    def rows(split):
        return [(vectors[f"{c['dir']}/{file}"], label)
                for label, c in enumerate(classes) for file in c[split]]

    training = [[vectors[f"{c['dir']}/{file}"] for file in c["training"]] for c in classes]
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(seed)
        x = tf.placeholder(tf.float32, [None, 1001])
        y = tf.placeholder(tf.int64, [None])
        weights = tf.Variable(tf.truncated_normal([1001, len(classes)], stddev=0.001))
        biases = tf.Variable(tf.zeros([len(classes)]))
        logits = tf.matmul(x, weights) + biases
        loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=logits)
        step = tf.train.GradientDescentOptimizer(LEARNING_RATE).minimize(loss)
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))
        initialize = tf.global_variables_initializer()
    with ref.session(graph) as session:
        session.run(initialize)
        run_step = session.make_callable(step, [x, y])
        for _ in range(STEPS):
            batch, labels = [], []
            for _ in range(BATCH):
                label = rng.randrange(len(classes))
                index = rng.randrange(ref.MAX_NUM_IMAGES_PER_CLASS + 1)
                batch.append(training[label][index % len(training[label])])
                labels.append(label)
            run_step(np.stack(batch), np.array(labels))
        test = rows("testing")
        return float(session.run(accuracy, {x: np.stack([v for v, _ in test]), y: [l for _, l in test]}))


def main():
    photos_dir = os.path.abspath(f"{ref.shared_dir()}/data/flower_photos")
    vectors = bottlenecks(photos_dir)
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tensorflow.tsv")
    with tempfile.TemporaryDirectory() as work:
        os.makedirs(f"{work}/tf_files")
        os.symlink(photos_dir, f"{work}/tf_files/flower_1000")
        os.symlink(photos_dir, f"{work}/flower_1000")
        os.chdir(work)
        lines = ["image_dir\tseed\ttrain\tvalidation\ttest\taccuracy"]
        for image_dir in SPELLINGS:
            lists = ref.create_image_lists(image_dir)
            counts = [sum(len(c[s]) for c in lists.values()) for s in ("training", "validation", "testing")]
            for seed in SEEDS:
                accuracy = train(lists, vectors, seed)
                lines.append("\t".join([image_dir, str(seed), *map(str, counts), f"{accuracy:.6f}"]))
                print(lines[-1], file=sys.stderr, flush=True)
        os.chdir("/")
    with open(out, "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
