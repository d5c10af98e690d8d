# SPDX-License-Identifier: Apache-2.0
"""What a training run may do to what earlier runs left: its graph gives way to a better one alone, its checkpoint is gone
on from or in the way, never passed over. Plain Python, so that it is tested where there is no PyTorch."""
import math
import os


def refuse_start_beside_checkpoint(start, checkpoint):
    """--start names what a new run begins with; with a checkpoint there the run is not new."""
    if start and os.path.exists(checkpoint):
        raise SystemExit(f"--start={start}: {checkpoint} is there, and training goes on from that: leave --start out, or "
                         f"remove {checkpoint} to begin with --start, or name another folder with --work")


class KeptGraph:
    """The graph at --output. What it misses is measured anew by each run, on that run's own yardstick, and not
    remembered: the file may be another than the one that the checkpoint knew of (written after it, removed, replaced),
    and another seed, teacher or set of photos measures otherwise."""

    def __init__(self, path, measure):
        """`measure(path)`: what the graph there misses, or None if it is none that this script could have written."""
        self.path, self.missed = path, math.inf
        if not os.path.exists(path):
            return
        missed = measure(path)
        if missed is None:
            raise SystemExit(f"--output={path}: is there, but is no MobileNet v1 0.25_128 as this script writes it: name another "
                             "file, or remove this one")
        if math.isfinite(missed):
            self.missed = missed
        print(f"{path} is there and misses {missed:.4f}: it is kept until a graph misses less; remove it to begin anew",
              flush=True)

    def offer(self, missed, write):
        """Calls `write(path)` if a graph that misses so much is better than the one that is there."""
        if missed < self.missed:
            write(self.path)
            self.missed = missed
