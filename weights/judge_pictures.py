# SPDX-License-Identifier: Apache-2.0
"""The five tasks that the default backbone is judged on, as folders of pictures, one sub-folder a class. None was ever
trained on. Two lie in packages of Debian, two are drawn here from a seed; the flowers are the shared ones."""
import math
import os
import shutil
import subprocess
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TASKS = {
    "flowers": "flower photos",
    "stamps": "demo: pictures of tuxpaint-stamps-default",
    "emoji": "emoji of fonts-noto-color-emoji by group",
    "textures": "drawn textures",
    "shapes": "drawn shapes",
}
EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI_LIST = "/usr/share/unicode/emoji/emoji-test.txt"
EMOJI_GROUPS = {"Smileys & Emotion": "smileys", "Animals & Nature": "animals", "Food & Drink": "food",
                "Travel & Places": "places", "Objects": "objects"}
EMOJI_SIZE = 109   # the one size that the font's bitmaps have
SIDE = 128         # of drawn pictures
PER_CLASS = 60     # drawn pictures


def emoji(folder):
    """Those of one character, by the groups of Unicode's list."""
    font = ImageFont.truetype(EMOJI_FONT, EMOJI_SIZE)
    group = ""
    with open(EMOJI_LIST, encoding="utf-8") as file:
        for line in file:
            if line.startswith("# group:"):
                group = EMOJI_GROUPS.get(line.split(":", 1)[1].strip(), "")
            code, _, rest = line.partition(";")
            points = code.split()
            if not group or not rest.strip().startswith("fully-qualified") or points[1:] not in ([], ["FE0F"]):
                continue
            picture = Image.new("RGB", (136, 128), "white")
            ImageDraw.Draw(picture).text((0, 0), chr(int(points[0], 16)), font=font, embedded_color=True)
            save(picture, folder, group, points[0])


def save(picture, folder, label, name):
    os.makedirs(f"{folder}/{label}", exist_ok=True)
    picture.save(f"{folder}/{label}/{name}.png")


def two_colours(rng):
    """RGB, 0 to 255, apart by at least a little."""
    while True:
        a, b = rng.uniform(0, 255, (2, 3))
        if np.abs(a - b).sum() > 120:
            return a, b


def soft_noise(rng, side, cells):
    """Smooth noise, 0 to 1: `cells` random values a side, blown up."""
    small = Image.fromarray(rng.uniform(0, 255, (cells, cells)).astype(np.uint8))
    return np.asarray(small.resize((side, side), Image.BICUBIC), np.float64) / 255


def texture_value(kind, rng, u, v):
    """0 to 1 at each place; one period is 1 long in u and v."""
    if kind == "stripes":
        return (np.sin(2 * math.pi * u) > 0).astype(float)
    if kind == "checks":
        return ((np.floor(2 * u) + np.floor(2 * v)) % 2).astype(float)
    if kind == "dots":
        return (np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.3).astype(float)
    if kind == "bricks":
        row = np.floor(2 * v)
        return (((u + 0.5 * (row % 2)) % 1 > 0.12) & ((2 * v) % 1 > 0.2)).astype(float)
    if kind == "rings":
        return (np.sin(2 * math.pi * np.hypot(u - rng.uniform(-1, 1), v - rng.uniform(-1, 1))) > 0).astype(float)
    return 0.5 * (np.sin(2 * math.pi * u) + np.sin(2 * math.pi * v)) / 2 + 0.5   # waves


def blend(a, b, value):
    return a + (b - a) * value[..., None]


def with_noise(rng, pixels):
    """Uneven light and grain."""
    light = 0.6 + 0.6 * soft_noise(rng, SIDE, 3)
    return Image.fromarray(np.clip(pixels * light[..., None] + rng.normal(0, 18, pixels.shape), 0, 255).astype(np.uint8))


def textures(folder):
    for kind in ("stripes", "checks", "dots", "bricks", "rings", "waves"):
        rng = np.random.default_rng(zlib.crc32(kind.encode()))
        for i in range(PER_CLASS):
            angle, period = rng.uniform(0, math.pi), rng.uniform(14, 48)
            y, x = np.mgrid[:SIDE, :SIDE] / period
            # Bent a little, as cloth and walls are.
            x, y = x + 0.5 * soft_noise(rng, SIDE, 4), y + 0.5 * soft_noise(rng, SIDE, 4)
            u, v = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
            a, b = two_colours(rng)
            save(with_noise(rng, blend(a, b, texture_value(kind, rng, u, v))), folder, kind, f"{i:02}")


def outline(kind, rng):
    """Corners on the unit circle, roughly; a ring and a disc are circles."""
    corners = {"triangle": 3, "square": 4, "star": 10, "cross": 12, "moon": 0}[kind]
    turn = rng.uniform(0, 2 * math.pi)
    if kind == "moon":
        outer = [(math.cos(t), math.sin(t)) for t in np.linspace(0.5, 2 * math.pi - 0.5, 40)]
        inner = [(0.35 + 0.72 * math.cos(t), 0.72 * math.sin(t)) for t in np.linspace(2 * math.pi - 0.75, 0.75, 40)]
        points = outer + inner
    elif kind == "cross":
        arm = 0.35
        points = [(arm, arm), (1, arm), (1, -arm), (arm, -arm), (arm, -1), (-arm, -1), (-arm, -arm), (-1, -arm), (-1, arm),
                  (-arm, arm), (-arm, 1), (arm, 1)]
    else:
        radius = [1.0, 0.45] if kind == "star" else [1.0]
        points = [(radius[i % len(radius)] * math.cos(2 * math.pi * i / corners),
                   radius[i % len(radius)] * math.sin(2 * math.pi * i / corners)) for i in range(corners)]
    return [(x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)) for x, y in points]


def shapes(folder):
    for kind in ("disc", "triangle", "square", "star", "cross", "moon"):
        rng = np.random.default_rng(zlib.crc32(kind.encode()))
        for i in range(PER_CLASS):
            a, b = two_colours(rng)
            background = blend(a * 0.7, a, soft_noise(rng, SIDE, 6))
            mask = Image.new("L", (4 * SIDE, 4 * SIDE))
            size = rng.uniform(22, 52)
            cx, cy = rng.uniform(size, SIDE - size, 2)
            corners = ([(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 60)] if kind == "disc"
                       else outline(kind, rng))
            stretch = rng.uniform(0.75, 1.25)
            ImageDraw.Draw(mask).polygon([(4 * (cx + size * x * stretch), 4 * (cy + size * y)) for x, y in corners], fill=255)
            covered = np.asarray(mask.resize((SIDE, SIDE), Image.BOX), np.float64) / 255
            save(with_noise(rng, background + (b - background) * covered[..., None]), folder, kind, f"{i:02}")


def make_pictures(shared, stamps, folder):
    """Makes what is not there yet; {task: (pictures, classes)}."""
    missing = [path for path in (f"{shared}/data/flower_photos", stamps, EMOJI_FONT, EMOJI_LIST) if not os.path.exists(path)]
    if missing:
        raise SystemExit(f"judge-default: there is no {', '.join(missing)}; the pictures are in the packages "
                         "tuxpaint-stamps-default, fonts-noto-color-emoji and unicode-data")
    makers = {
        "flowers": lambda to: shutil.copytree(f"{shared}/data/flower_photos", to,
                                              ignore=lambda path, names: [n for n in names if n.endswith(".txt")]),
        "stamps": lambda to: subprocess.run(["sh", "apps/demo_pictures.sh", stamps, to], check=True),
        "emoji": emoji, "textures": textures, "shapes": shapes,
    }
    os.makedirs(folder, exist_ok=True)
    counts = {}
    for task in TASKS:
        path = f"{folder}/{task}"
        if not os.path.exists(path):
            shutil.rmtree(path + ".part", ignore_errors=True)
            makers[task](path + ".part")
            os.replace(path + ".part", path)
        classes = [name for name in os.listdir(path) if os.path.isdir(f"{path}/{name}")]
        counts[task] = (sum(len(os.listdir(f"{path}/{name}")) for name in classes), len(classes))
    return counts
