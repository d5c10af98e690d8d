# SPDX-License-Identifier: Apache-2.0
"""Writes tensorflow_decode.tsv: what TensorFlow's decoders make of the shared awkward files and some flower photos.

Usage: python tests/golden/tensorflow_decode.py ../shared > tests/golden/tensorflow_decode.tsv
Needs tensorflow-cpu (made with 2.21.0). Columns: path under data/, op, width, height, SHA-256 of the RGB bytes;
or path, op, "error" when TensorFlow refuses the file.
"""
import hashlib
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf  # noqa: E402


def decode(data):
    """The op label_image.py or retrain.py would use for these bytes, and its pixels."""
    if data[:2] == b"BM":  # palettes are not looked up: 8-bit files come out as indices
        return "decode_bmp", lambda: tf.io.decode_bmp(data, channels=0)
    if data[:3] == b"GIF":
        return "decode_gif", lambda: tf.io.decode_gif(data)[0]
    # retrain.py's op, whatever the format: it also takes PNG bytes.
    return "decode_jpeg", lambda: tf.io.decode_jpeg(data, channels=3)


def main(shared):
    paths = sorted(os.listdir(os.path.join(shared, "data/nasty")))
    # Late TensorFlow decodes WebP as an animation; the versions Couplet is measured against refuse it, as Couplet does.
    paths = ["nasty/" + p for p in paths if p not in ("EXPECTED.tsv", "webp_named.jpg")]
    for folder in ("daisy", "dandelion", "roses", "sunflowers", "tulips"):
        names = sorted(os.listdir(os.path.join(shared, "data/flower_photos", folder)))
        paths += ["flower_photos/%s/%s" % (folder, name) for name in names[::20]]
    for path in paths:
        with open(os.path.join(shared, "data", path), "rb") as f:
            data = f.read()
        op, run = decode(data)
        try:
            pixels = run().numpy()
            height, width, channels = pixels.shape
            pixels = pixels[:, :, :3] if channels >= 3 else pixels.repeat(3, axis=2)
            print(path, op, width, height, hashlib.sha256(pixels.tobytes()).hexdigest(), sep="\t")
        except tf.errors.OpError:
            print(path, op, "error", sep="\t")


main(sys.argv[1])
