# SPDX-License-Identifier: Apache-2.0
"""Decoded pixels: every awkward file and fifty photos, TensorFlow's decoders and ours."""
import collections
import os

import numpy as np

import ours
import tf_reference as ref
from check_layers import flower_photos
from tf_reference import tf


class Decoder:
    """The op that is right for the bytes; retrain.py's decode_jpeg for JPEG and PNG."""

    def __init__(self):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.data = tf.placeholder(tf.string)
            self.jpeg = tf.image.decode_jpeg(self.data, channels=3)
            self.gif = tf.image.decode_gif(self.data)
            self.bmp = tf.image.decode_bmp(self.data)
        self.session = ref.session(self.graph)

    def __call__(self, path):
        """[h, w, 3] uint8, or TensorFlow's reason why not."""
        with open(path, "rb") as file:
            data = file.read()
        op = self.gif if data[:3] == b"GIF" else self.bmp if data[:2] == b"BM" else self.jpeg
        try:
            pixels = self.session.run(op, {self.data: data})
        except tf.errors.OpError as error:
            return reason(error)
        if pixels.ndim == 4:
            pixels = pixels[0]
        return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[..., :3]


def reason(error):
    """The line of TensorFlow's long message that says it."""
    lines = error.message.split("\n")
    after_node = [i + 1 for i, line in enumerate(lines) if line.startswith("Node:")]
    return lines[after_node[0]] if after_node and after_node[0] < len(lines) else lines[0]


# Where we are meant to differ, and why.
DIFFERENT = {
    "bmp_topdown.bmp": "TensorFlow takes palette indices for grey values; the palette's colours are the picture",
    "bmp_rle8.bmp": "TensorFlow knows no runs and takes the file's length for wrong; every viewer shows it",
    "webp_named.jpg": "the TensorFlow of retrain.py's day refuses WebP as we do; one that reads it is of another age",
}


def check(report, shared):
    """Decoded pixels of every awkward file and of fifty photos."""
    decoder = Decoder()
    nasty = f"{shared}/data/nasty"
    photos = [f"{nasty}/{name}" for name in sorted(os.listdir(nasty)) if name != "EXPECTED.tsv"]
    outcomes = collections.Counter()
    for (name, got), photo in zip(ours.pixels(photos), photos):
        outcomes[compare(report, os.path.basename(photo), name, got, decoder(photo))] += 1
    explained = len(photos) - outcomes["unexplained"]
    report.count("awkward-photos", len(photos), explained, outcomes["unexplained"], "ORACLE=decode",
                 f"photos of data/nasty beside TensorFlow: {', '.join(f'{n} {what}' for what, n in outcomes.items())}")
    photos = flower_photos(shared, 50)
    apart = [np.abs(got[0] - decoder(photo)).max() for (_, got), photo in zip(ours.pixels(photos), photos)]
    report.check(f"{len(apart)} flower photos: greatest difference of a byte", max(apart), 0)


def compare(report, photo, name, got, want):
    """What came of it, in two words."""
    refused = name.startswith("!")
    if isinstance(want, str) and refused:
        report.note(f"{photo}: refused by both (TensorFlow: {want[:90]}; ours: {name[1:]})")
        return "refused by both"
    if isinstance(want, str) != refused or photo in DIFFERENT:
        if photo not in DIFFERENT:
            report.fail(f"{photo}: {'refused' if refused else 'read'} by us alone, and DIFFERENT does not say why: {want if isinstance(want, str) else name}")
            return "unexplained"
        said = f"TensorFlow: {want[:90]}" if isinstance(want, str) else f"ours: {name[1:]}" if refused else "pixels differ"
        report.note(f"{photo}: {'refused by us alone' if refused else 'read by us alone' if isinstance(want, str) else 'differs'}"
                    f" ({said}), as it should: {DIFFERENT[photo]}")
        return "different with a reason"
    failures = report.failed
    if got.shape[1:] != want.shape:
        report.fail(f"{photo}: {got.shape[1:]} here, {want.shape} by TensorFlow")
    else:
        report.check(f"{photo}: greatest difference of a byte", np.abs(got[0] - want).max(), 0)
    return "equal" if report.failed == failures else "unexplained"
