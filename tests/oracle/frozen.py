# SPDX-License-Identifier: Apache-2.0
"""A frozen graph read from its file, and how far apart two outputs are: for the oracle and for make bench-peers, which need
different modes of TensorFlow; this sets none."""
import numpy as np
from tensorflow.compat.v1 import GraphDef


def load_graph_def(path):
    graph_def = GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    return graph_def


def relative_l2(got, want):
    """|got - want| / |want|; infinite where shapes differ or a value is not finite."""
    got, want = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-30))
