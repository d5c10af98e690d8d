# SPDX-License-Identifier: Apache-2.0
"""What retrain.py and label_image.py do, through TensorFlow: the reference of the goldens and the oracle."""
import hashlib
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import tensorflow.compat.v1 as tf  # noqa: E402

from frozen import load_graph_def, relative_l2  # noqa: E402, F401

tf.disable_eager_execution()

MAX_NUM_IMAGES_PER_CLASS = 2**27 - 1
EXTENSIONS = ["jpg", "jpeg", "JPG", "JPEG"]


def shared_dir():
    """The shared graphs and photos, as the tests look for them."""
    path = os.environ.get("COUPLET_DATA", "../shared")
    if not os.path.isdir(path):
        raise SystemExit(f"{path}: not there; set COUPLET_DATA to the folder with models, data and golden")
    return path


def import_graph_def(graph_def):
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    return graph


def import_graph(path):
    return import_graph_def(load_graph_def(path))


def session(graph, threads=1):
    return tf.Session(graph=graph, config=tf.ConfigProto(intra_op_parallelism_threads=threads,
                                                         inter_op_parallelism_threads=1))


class Preprocess:
    """Photo -> [1, size, size, 3].

    Mode "multiply": (x - mean) * (1 / std), as add_jpeg_decoding in retrain.py. Mode "divide": (x - mean) / std
    and a decoder by extension, as read_tensor_from_image_file in label_image.py.
    """

    def __init__(self, size, mean, std, mode="multiply"):
        self.mode = mode
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.data = tf.placeholder(tf.string)
            self.decoded = {
                "jpg": tf.image.decode_jpeg(self.data, channels=3),
                "png": tf.image.decode_png(self.data, channels=3),
                "gif": tf.image.decode_gif(self.data)[0],
                "bmp": tf.image.decode_bmp(self.data)[..., :3],
            }
            self.pixels = {}
            for kind, image in self.decoded.items():
                floats = tf.expand_dims(tf.cast(image, tf.float32), 0)
                resized = tf.image.resize_bilinear(floats, [size, size])
                centred = tf.subtract(resized, [mean])
                self.pixels[kind] = (tf.multiply(centred, 1.0 / std) if mode == "multiply"
                                     else tf.divide(centred, [std]))
        self.session = session(self.graph)

    def __call__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        by_extension = self.mode == "divide" and path[-4:].lower() in (".png", ".gif", ".bmp")
        kind = path[-3:].lower() if by_extension else "jpg"
        return self.session.run(self.pixels[kind], {self.data: data})


def create_image_lists(image_dir, testing_percentage=10, validation_percentage=10):
    """retrain.py's: {label: {"dir", "training", "testing", "validation"}}, by hash of the path as globbed."""
    result = {}
    for sub_dir in sorted(x[0] for x in tf.gfile.Walk(image_dir))[1:]:
        dir_name = os.path.basename(sub_dir)
        files = []
        for extension in EXTENSIONS:
            files.extend(tf.gfile.Glob(os.path.join(image_dir, dir_name, "*." + extension)))
        lists = {"dir": dir_name, "training": [], "testing": [], "validation": []}
        for file_name in files:
            hash_name = re.sub(r"_nohash_.*$", "", file_name)
            digest = hashlib.sha1(tf.compat.as_bytes(hash_name)).hexdigest()
            h = int(digest, 16) % (MAX_NUM_IMAGES_PER_CLASS + 1)
            percentage = h * (100.0 / MAX_NUM_IMAGES_PER_CLASS)
            if percentage < validation_percentage:
                lists["validation"].append(os.path.basename(file_name))
            elif percentage < testing_percentage + validation_percentage:
                lists["testing"].append(os.path.basename(file_name))
            else:
                lists["training"].append(os.path.basename(file_name))
        result[re.sub(r"[^a-z0-9]+", " ", dir_name.lower())] = lists
    return result
