#!/usr/bin/env python3
"""Holds the codelab's run on arm64 to the one on this machine: vectors, split, labels, the graphs' nodes.

Usage: compare_codelab.py FOLDER, where check_arm64.sh has left arm64.* and native.*. Prints one line; 1 on a difference.
"""
# SPDX-License-Identifier: Apache-2.0
import json
import math
import pathlib
import sys

VECTORS_WITHIN = 1e-5


def nodes(data):
    """[(name, op)] of a GraphDef, read field by field: node = 1 {name = 1, op = 2}."""

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            at += 1
            if byte < 128:
                return value, at
            shift += 7

    def fields(at, end):
        while at < end:
            key, at = varint(at)
            if key & 7 == 2:
                size, at = varint(at)
                yield key >> 3, at, at + size
                at += size
            elif key & 7 == 0:
                at = varint(at)[1]
            else:
                at += 8 if key & 7 == 1 else 4

    found = []
    for field, begin, end in fields(0, len(data)):
        if field == 1:
            parts = {number: data[a:b] for number, a, b in fields(begin, end) if number in (1, 2)}
            found.append((parts[1].decode(), parts[2].decode()))
    return found


def farthest(ours, theirs):
    """The largest difference of two numbers; NaN where one is NaN, which max() would pass over."""
    apart = [abs(a - b) for a, b in zip(ours, theirs)]
    return math.nan if any(map(math.isnan, apart)) else max(apart, default=0.0)


def main(folder):
    folder = pathlib.Path(folder)
    arm64 = sorted((folder / "arm64").rglob("*.txt"))
    apart = []
    for path in arm64:
        ours = [float(word) for word in path.read_text().split(",")]
        theirs = [float(word) for word in (folder / "native" / path.relative_to(folder / "arm64")).read_text().split(",")]
        if len(ours) != len(theirs):
            return f"{path.name}: {len(ours)} numbers for {len(theirs)}", 1
        apart.append(farthest(ours, theirs))
    if len(arm64) < 60 or not all(one <= VECTORS_WITHIN for one in apart):
        return f"{len(arm64)} vectors, up to {farthest(apart, [0] * len(apart)):.3g} apart: {VECTORS_WITHIN} is allowed", 1
    a, b = (json.loads((folder / f"{name}.json").read_text()) for name in ("arm64", "native"))
    if a["photos"] != b["photos"] or a["labels"] != b["labels"]:
        return f"split and labels differ: {a['photos']} {a['labels']}, {b['photos']} {b['labels']}", 1
    if nodes((folder / "arm64.pb").read_bytes()) != nodes((folder / "native.pb").read_bytes()):
        return "the graphs' nodes differ", 1
    return (f"{len(arm64)} vectors within {max(apart):.3g}, split {a['photos']}, the same nodes, test accuracy "
            f"{a['test']['accuracy']} and {b['test']['accuracy']}"), 0


if __name__ == "__main__":
    text, code = main(sys.argv[1])
    print(text)
    sys.exit(code)
