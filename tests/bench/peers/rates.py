# SPDX-License-Identifier: Apache-2.0
"""How a peer is timed: photos a second of a call, by one caller or a caller a thread."""
import os
import threading
import time

CORES = len(os.sched_getaffinity(0))


def rate(call, pixels, batch, seconds, callers=1):
    """`call` takes [batch, h, w, 3]; every caller goes through the pixels by itself until the time is over."""
    parts = [pixels[i:i + batch] for i in range(0, len(pixels) - batch + 1, batch)]
    call(parts[0])
    ready, counts = threading.Barrier(callers + 1), [0] * callers

    def run(caller):
        ready.wait()
        while time.perf_counter() - start[0] < seconds or counts[caller] == 0:
            call(parts[counts[caller] % len(parts)])
            counts[caller] += 1

    start = [float("inf")]
    threads = [threading.Thread(target=run, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()
    start[0] = time.perf_counter()
    ready.wait()
    for thread in threads:
        thread.join()
    return sum(counts) * batch / (time.perf_counter() - start[0])


def best(ways, pixels, batch, callers_of):
    """The fastest of {name: call} by a short trial: a peer is timed at its best settings."""
    trial = {name: rate(call, pixels, batch, 0.3, callers_of(name)) for name, call in ways.items()}
    return max(trial, key=trial.get)
