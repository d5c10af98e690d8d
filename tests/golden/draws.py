#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes draws.txt: batches and initial weights as models/classifier_head.h defines them, from scratch.

    python3 tests/golden/draws.py > tests/golden/draws.txt

Lines: `batch SEED STEP STREAM SIZE CLASS:ROW ...` over LISTS below; `weights SEED FIRST BITS ...`, BITS being the
hexadecimal bytes of the float32 of weight FIRST, FIRST + 1, ... (they do not depend on the layer's shape).
"""
import math
import struct

# First weight of seed 0 whose first four normals all lie outside: it needs a second attempt.
SECOND_ATTEMPT = 342423
# First one whose u0 is small enough for the + 1 in ln((u0 + 1) / 2^32) to show in float32.
SMALL_RADIUS_BITS = 194650
# Rows of each class in the split; the second class has none.
LISTS = [list(range(100, 107)), [], [3], list(range(1000, 4000)), [11, 12]]


def philox(seed, row, step, stream):
    c = [row, step, stream, 0]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def batch(seed, step, stream, size):
    present = [i for i, rows in enumerate(LISTS) if rows]
    if size < 0:
        return [(i, row) for i in present for row in LISTS[i]]
    drawn = []
    for i in range(size):
        u = philox(seed, i, step, stream)
        label = present[(u[0] * len(present)) >> 32]
        drawn.append((label, LISTS[label][u[1] % 2**27 % len(LISTS[label])]))
    return drawn


def weight(seed, k):
    attempt = 0
    while True:
        u = philox(seed, k, attempt, 3)
        for a, b in ((u[0], u[1]), (u[2], u[3])):
            radius = math.sqrt(-2 * math.log((a + 1) / 2**32))
            for z in (radius * math.cos(2 * math.pi * b / 2**32), radius * math.sin(2 * math.pi * b / 2**32)):
                if abs(z) < 2:
                    return 0.001 * z
        attempt += 1


def main():
    for seed, step, stream, size in ((0, 0, 0, 12), (0, 1, 0, 12), (0, 0, 1, 12), (0, 3999, 2, 12),
                                     (0x9876543210, 7, 0, 12)):
        pairs = " ".join("%d:%d" % p for p in batch(seed, step, stream, size))
        print("batch", seed, step, stream, size, pairs)
    for seed, first, count in ((0, 0, 24), (1, 5000, 8), (0x9876543210, 0, 8), (0, SMALL_RADIUS_BITS, 1),
                               (0, SECOND_ATTEMPT, 1)):
        bits = " ".join(struct.pack(">f", weight(seed, first + i)).hex() for i in range(count))
        print("weights", seed, first, bits)


if __name__ == "__main__":
    main()
