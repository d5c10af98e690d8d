# SPDX-License-Identifier: Apache-2.0
"""Our side of the oracle: the programs of this build and what tests/oracle/dump.cc writes."""
import os
import subprocess

import numpy as np

BUILD = os.environ.get("COUPLET_BUILD", "build")


def run(program, *args, check=True):
    """stdout of build/<program>, as bytes. What it writes to stderr is shown when it fails."""
    done = subprocess.run([f"{BUILD}/{program}", *map(str, args)], capture_output=True)
    if check and done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(map(str, args))}: exit {done.returncode}\n"
                         + done.stderr.decode(errors="replace"))
    return done.stdout


def records(data):
    """[(name, array [n, h, w, c])]; the name of what could not be read starts with "!"."""
    result, at = [], 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, *shape = data[at:end].decode().split("\t")
        shape = [int(x) for x in shape]
        count, at = int(np.prod(shape)), end + 1
        result.append((name, np.frombuffer(data, "<f4", count, at).reshape(shape)))
        at += 4 * count
    return result


def layers(graph, entry, output, size, mean, std, mode, form, photos):
    return records(run("tests/dump", "layers", graph, entry, output, size, mean, std, mode, form, *photos))


def pixels(photos):
    return records(run("tests/dump", "pixels", *photos))
