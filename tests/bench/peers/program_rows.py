# SPDX-License-Identifier: Apache-2.0
"""The rows that time programs from start to exit, and those of ourselves alone: how cost grows with photos."""
import functools
import json
import os
import shutil
import site
import subprocess
import sys

import material
import numpy as np
from contestants import HERE, PEERS, PeerFailed, run, run_seconds
from material import BUILD, PHOTOS, TEMP, ours
from rows import Row, network_floor
from targets import Target, at_most, times
from tensorflow_peers import photos_in


def drop_from_page_cache(paths):
    """posix_fadvise DONTNEED; what another process has mapped (libc, libraries of a running peer) stays."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass


def libraries_of(program):
    lines = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
    return [program] + [word for word in lines if word.startswith("/")]


def python_files(peer):
    packages = {"original": ["tensorflow", "numpy", "keras", "google", "numpy.libs"], "onnxruntime": ["onnxruntime", "numpy", "PIL", "numpy.libs"],
                "openvino": ["openvino", "numpy", "PIL", "numpy.libs"]}[peer]
    return [os.path.join(folder, file) for package in packages
            for folder, _, files in os.walk(os.path.join(site.getsitepackages()[0], package)) for file in files]


def label_command(peer, net, made, photos):
    graph, labels, head = made
    if peer == "ours":
        return [BUILD + "/label_image", f"--graph={graph}", f"--labels={labels}", *photos]
    network = net.onnx if peer in ("onnxruntime", "openvino") else graph
    return [sys.executable, os.path.join(HERE, "label_peer.py"), peer, network, head, str(net.size), *photos]


def our_scores(net, made, photos, *options):
    """[photos, labels]"""
    lines = material.our_program(*label_command("ours", net, made, photos), "--format=json", *options).splitlines()
    return np.array([[r["score"] for r in sorted(json.loads(line)["results"], key=lambda r: r["index"])] for line in lines])


def peer_scores(peer, net, made, photos):
    """[photos, labels], in the order of the photos"""
    rows = [dict(word.split("=") for word in line.split()[1:]) for line in run(label_command(peer, net, made, photos), subprocess.PIPE)[1].splitlines()]
    return np.array([[float(row[str(i)]) for i in range(len(row))] for row in rows])


@functools.cache
def answers(net, made):
    """Who labels other than we do, and why: {peer: why}. The original's mean and deviation are 128 for every network, so it is held
    against ours with these; of those that let Pillow resize, the best label of most photos is all that can be asked."""
    photos, left_out, found = photos_in(PHOTOS, 50), {}, []
    for peer in PEERS:
        some = photos[::7] if peer == "original" else photos
        mine = our_scores(net, made, some, *(["--input_mean=128", "--input_std=128"] if peer == "original" else []))
        try:
            theirs = peer_scores(peer, net, made, some)
        except PeerFailed as why:
            left_out[peer] = str(why)
            continue
        if peer in ("onnxruntime", "openvino"):
            same = (mine.argmax(1) == theirs.argmax(1)).mean()
            found.append(f"{PEERS[peer]} the same best label of {100 * same:.0f} %")
            if same < 0.8:
                left_out[peer] = f"its best label is ours for only {100 * same:.0f} % of {len(some)} photos"
        else:
            apart = np.abs(mine - theirs).max()
            found.append(f"{PEERS[peer]} at most {apart:.0e} apart")
            if not apart < 1e-4:  # five digits are printed
                left_out[peer] = f"its scores are up to {apart:.1e} from ours"
    print(f"{net.name}, label_image's scores beside ours: {', '.join(found)}" + "".join(f"; {PEERS[p]} is left out: {why}" for p, why in left_out.items()), flush=True)
    return left_out


def label_rows(workers, networks, cores):
    """(e) label_image, one photo, process start to exit"""
    [photo] = photos_in(PHOTOS, 1)
    for net, wanted in ((networks[0], [at_most(10, "ms"), times(300, "original")]), (networks[-1], [at_most(150, "ms")])):
        made = material.retrained(net)
        left_out = answers(net, made)
        for cold in (False, True):
            def one(peer, net=net, made=made, cold=cold):
                command = label_command(peer, net, made, [photo])
                files = libraries_of(BUILD + "/label_image") if peer == "ours" else python_files(peer)

                def run():
                    if cold:
                        drop_from_page_cache([*files, net.onnx, photo, *made])
                        return 1e3 * run_seconds(command)
                    return 1e3 * min(run_seconds(command) for _ in range(2))
                return run
            note = ("cold: program, libraries, graph and photo dropped by posix_fadvise; what others have mapped stays" if cold
                    else "warm: the lesser of two runs, for everybody")
            yield Row("e", f"{net.name}, {'cold' if cold else 'warm'} page cache", "ms",
                      {peer: one(peer) for peer in ("ours", "original", "onnxruntime", "openvino")},
                      lambda m, n=net: 1e3 * (run_seconds(["true"]) + cores / m["decode"] + n.flops / m["peak"]),
                      [] if cold else wanted, [note], left_out=left_out)


def thousand_rows(workers, networks, cores):
    """(f) 1,000 photos through label_image"""
    net, photos = networks[0], photos_in(PHOTOS, 1000)
    made = material.retrained(net)
    round_of = {peer: lambda peer=peer: run_seconds(label_command(peer, net, made, photos))
                for peer in ("ours", "keras", "onnxruntime", "openvino")}
    round_of["original"] = lambda: len(photos) * run_seconds(label_command("original", net, made, photos[:1]))
    yield Row("f", net.name, "s", round_of, lambda m: len(photos) / network_floor(net)(m), left_out=answers(net, made),
              notes=["the original labels one photo a process: one process times 1,000"])


# Linux counts what a process held before exec towards its peak, and this one holds TensorFlow: a small one starts it.
PEAK = """import os, sys
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def our_retrain(net, folder, store, steps):
    """(peak memory in MB, what --json says)"""
    report = f"{TEMP}/growth.json"
    done = subprocess.run([sys.executable, "-S", "-c", PEAK, BUILD + "/retrain", "--quiet", f"--image_dir={folder}",
                           f"--model_file={net.graph}", f"--bottleneck_dir={store}", f"--summaries_dir={TEMP}/events",
                           f"--how_many_training_steps={steps}", f"--output_graph={TEMP}/out.pb",
                           f"--output_labels={TEMP}/out.txt", f"--json={report}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerFailed(f"retrain ended with code {done.returncode}: {done.stderr[-200:]}")
    with open(report, encoding="utf-8") as file:
        return float(done.stdout.split()[-1]), json.load(file)


def growth_rows(workers, networks, cores):
    """(g) how cost grows with photos: ourselves alone"""
    net, count = networks[0], 10000
    folder, store = material.many_photos(count), f"{TEMP}/growth_store"
    vectors = count * net.features * 4 / 2**20

    def cold():
        shutil.rmtree(store, ignore_errors=True)
        return our_retrain(net, folder, store, 100)[0]
    yield Row("g", f"{net.name}, peak memory of retrain, {count:,} photos", "MB", {"ours": cold}, lambda m: vectors,
              [at_most(round(250 + vectors), "MB")], [f"wanted: 250 MB and the vectors themselves, {vectors:.0f} MB"], most_rounds=1)

    def warm():
        # The lesser of two: the host of a virtual machine takes back what lies idle for seconds, and handing it out anew takes as long.
        runs = [our_retrain(net, folder, store, 10)[1]["seconds"] for _ in range(2)]
        return 1e6 * (min(run["list"] + run["bottlenecks"] for run in runs) / count - ours("stat", folder))
    yield Row("g", f"{net.name}, warm start of retrain, {count:,} photos", "us a photo", {"ours": warm}, lambda m: 0,
              [at_most(3, "us")], ["warm start: listing and looking up, the lesser of two runs, without one stat call a photo, which is timed by itself"])

    photos = [1000, 10000, int(os.environ.get("GROWTH", "100000"))]
    stored, plain = {n: [] for n in photos}, {n: [] for n in photos}  # us a photo, a round each
    for smaller, n in zip([None, *photos], photos):
        def grow(n=n):
            stored[n].append(1e6 * ours("growth", n, net.features, f"{TEMP}/growth"))
            plain[n].append(1e6 * ours("plain", n, net.features, f"{TEMP}/growth"))
            return stored[n][-1]
        def times_the_floor(n):  # of the fastest rounds: a disk's and a host's moods only add
            return min(stored[n]) / min(plain[n])
        yield Row("g", f"{n:,} generated vectors stored and found again", "us a photo", {"ours": grow}, lambda m, n=n: min(plain[n]),
                  [Target(f"at most 1.2 times as far from the floor as {smaller:,}", lambda *_, n=n, s=smaller: times_the_floor(n) / times_the_floor(s),
                          lambda figure: figure <= 1.2, lambda figure: f"{figure:.2f}x")] if smaller else [],
                  [f"generated vectors: D={net.features}; the floor is their files' stat calls and a plain file, written as safely and read again, in the fastest round; "
                   "GROWTH=1000000 for a million"], most_rounds=5 if n < 100000 else 3)
    shutil.rmtree(f"{TEMP}/growth", ignore_errors=True)
