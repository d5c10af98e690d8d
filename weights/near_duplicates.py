# SPDX-License-Identifier: Apache-2.0
"""Leaves out training photos, and drawn pictures, that look like one the default backbone is judged on.

    python3 weights/near_duplicates.py build/judge/pictures FILE.npz

keeps the folder's pictures, as small as they are compared, for train_default.py --judged=FILE.npz on another machine.
"""
import os
import sys

import numpy as np
import torch
from PIL import Image

SIDE = 16         # a picture is compared as 16 x 16 grey values
ALIKE = 0.97      # correlation; the same photo scaled, recoloured and recompressed stays above it
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def fingerprints(pictures):
    """[n, h, w, 3] uint8 -> [n, 256] float: small, grey, without brightness and contrast, of length 1."""
    grey = pictures.float().mean(3)[:, None]
    small = torch.nn.functional.interpolate(grey, (SIDE, SIDE), mode="area").flatten(1)
    small = small - small.mean(1, keepdim=True)
    return small / small.norm(dim=1, keepdim=True).clamp(min=1e-3)


def read_pictures(folder):
    """Every picture below a folder, on white, squashed to 32 x 32: [n, 32, 32, 3] uint8. Or those of a file made of one."""
    if os.path.isfile(folder):
        return torch.from_numpy(np.load(folder)["pictures"])
    pictures = []
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.lower().endswith(PICTURES):
                picture = Image.open(os.path.join(path, name)).convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                white.alpha_composite(picture)
                pictures.append(np.asarray(white.convert("RGB").resize((32, 32), Image.BOX)))
    return torch.from_numpy(np.stack(pictures))


def near_duplicates(photos, judged):
    """Which of `photos` look like one of `judged`, or like its mirror image: [n] bool."""
    prints = fingerprints(photos)
    alike = torch.zeros(len(photos), dtype=torch.bool, device=photos.device)
    for known in (judged, judged.flip(2)):
        alike |= (prints @ fingerprints(known).T > ALIKE).any(1)
    return alike


def altered(pictures):
    """The same pictures as another set might have them: mirrored, half the size and darker, with less contrast."""
    small = torch.nn.functional.avg_pool2d(pictures.flip(2).permute(0, 3, 1, 2).float(), 2)
    return (small * 0.6 + 10).permute(0, 2, 3, 1).byte()


def leave_out_near_duplicates(photos, folder):
    """The photos without those that look like one in `folder`, or in a file made of one."""
    if not os.path.exists(folder):
        raise SystemExit(f"{folder} is not there: without it nothing can be kept out of the training; make train-default makes it")
    judged = read_pictures(folder).to(photos.device)
    # A comparison that finds nothing has to show that it would.
    found = near_duplicates(altered(judged), judged).float().mean()
    if found < 0.99:
        raise SystemExit(f"only {found:.1%} of {folder}'s own pictures are known again when altered: the comparison is broken")
    alike = near_duplicates(photos, judged)
    print(f"{int(alike.sum())} of {len(photos)} photos look like one of {len(judged)} in {folder}: left out", flush=True)
    return photos[~alike]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    np.savez_compressed(sys.argv[2], pictures=read_pictures(sys.argv[1]).numpy())
