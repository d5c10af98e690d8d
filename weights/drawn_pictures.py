# SPDX-License-Identifier: Apache-2.0
"""Pictures drawn from a seed for the distillation, beside the photos: what a teacher makes of edges, flat colours and
grain teaches a student too, and photos have little of it. Two kinds that are known to serve for that (Baradad et al.,
"Learning to See by Looking at Noise", 2021): dead leaves, and noise whose spectrum falls as a photo's does. None of it
comes from judge_pictures.py, which draws two of the tasks that the student is judged on, but discs and polygons are
discs and polygons: MODEL_CARD.md says what that means for those two."""
import math
import multiprocessing

import numpy as np
from PIL import Image, ImageDraw


def dead_leaves(rng, side):
    """Ellipses and polygons of random colours, one over the other, more small ones than large; drawn twice as fine, then
    halved: [side, side, 3] uint8."""
    big = 2 * side
    picture = Image.new("RGB", (big, big), tuple(rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(5, 250))):
        radius = big * 0.4 * rng.uniform(0.03, 1) ** 2 + 2
        x, y = rng.uniform(0, big, 2)
        colour = tuple(rng.integers(0, 256, 3))
        corners = int(rng.integers(2, 7))
        if corners == 2:
            stretch = rng.uniform(0.3, 1)
            draw.ellipse((x - radius, y - radius * stretch, x + radius, y + radius * stretch), fill=colour)
        else:
            at = np.sort(rng.uniform(0, 2 * math.pi, corners))
            draw.polygon([(x + radius * math.cos(a), y + radius * math.sin(a)) for a in at], fill=colour)
    return np.asarray(picture.reduce(2))


def coloured_noise(rng, side):
    """Noise of three channels, spectrum 1 / f^a with a from 0.5 to 2.5 and stretched along one direction:
    [side, side, 3] uint8."""
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    angle, stretch = rng.uniform(0, math.pi), 2.0 ** rng.uniform(0, 3)
    u, v = fx * math.cos(angle) + fy * math.sin(angle), -fx * math.sin(angle) + fy * math.cos(angle)
    f = np.maximum(np.hypot(u, v * stretch), 1 / side)
    spectrum = np.fft.rfft2(rng.normal(size=(3, side, side))) / f ** rng.uniform(0.5, 2.5)
    noise = np.fft.irfft2(spectrum, s=(side, side))
    noise = (noise - noise.mean((1, 2), keepdims=True)) / noise.std((1, 2), keepdims=True)
    mixed = np.tensordot(rng.normal(size=(3, 3)) * 0.6, noise, 1)   # the channels go together, as colours do
    return np.clip(rng.uniform(60, 196, (3, 1, 1)) + 50 * mixed, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def drawn_picture(number, side, seed):
    """[side, side, 3] uint8."""
    return (dead_leaves, coloured_noise)[number % 2](np.random.default_rng([seed, number]), side)


def drawn_pictures(count, side, seed):
    """[count, side, side, 3] uint8; every second one of each kind."""
    with multiprocessing.get_context("fork").Pool() as pool:
        pictures = pool.starmap(drawn_picture, [(i, side, seed) for i in range(count)], chunksize=20)
    return np.array(pictures, np.uint8).reshape(count, side, side, 3)
