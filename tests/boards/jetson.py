#!/usr/bin/env python3
"""Compiles every kernel for the Jetson boards and sets what the compiler says beside what each board has.

Writes docs/jetson_kernels.md: registers, shared memory and spills a kernel and board, how many threads a multiprocessor can
hold of it, and the least time a network's layers can take on each board, a prediction from the board's bandwidth and peak.
Ends with 1 for a spill, a compile that fails, or a kernel that asks for more than a board has.

Usage: jetson.py WORK_FOLDER NVCC_11_8 NVCC_13 [COMMIT DATE]
"""
# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

# name, compute capability, toolkit, multiprocessors, registers and shared bytes a multiprocessor, most shared bytes a block,
# most threads a multiprocessor; bandwidth GB/s, peak GFLOP/s fp32 and fp16 (NVIDIA's data sheets and the CUDA C++ Programming
# Guide's table of compute capabilities). fp16 of Orin and Thor is that of the tensor cores, dense.
BOARDS = [
    ("Nano", 53, "11.8", 1, 65536, 65536, 49152, 2048, 25.6, 236, 472),
    ("TX2", 62, "11.8", 2, 65536, 65536, 49152, 2048, 59.7, 665, 1330),
    ("AGX Xavier", 72, "11.8", 8, 65536, 98304, 98304, 2048, 136.5, 1410, 11000),
    ("AGX Orin", 87, "13", 16, 65536, 167936, 166912, 1536, 204.8, 5320, 42500),
    ("AGX Thor", 110, "13", 20, 65536, 233472, 232448, 1536, 273.0, 8060, 259000),
]
# A block has at most so many threads and each thread so many registers, on all of these.
THREADS, REGISTERS = 1024, 255
# Inception v3 as a whole: multiply-adds, weights, elements in and out layer by layer, from the graph of 2015.
INCEPTION = [("whole", 5.725e9, 21.75e6, 30.9e6)]


def mobilenet(width, size):
    """[(name, multiply-adds, weights, elements in and out)] of MobileNet v1's layers, one photo."""
    layers = []
    side, channels = size // 2, int(32 * width)
    layers.append(("conv0", side * side * channels * 27, 27 * channels, size * size * 3 + side * side * channels))
    for block, (out, stride) in enumerate([(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 +
                                          [(1024, 2), (1024, 1)], 1):
        out, before = int(out * width), side
        side = side // stride
        layers.append((f"dw{block}", side * side * channels * 9, 9 * channels,
                       before * before * channels + side * side * channels))
        layers.append((f"pw{block}", side * side * channels * out, channels * out, side * side * (channels + out)))
        channels = out
    layers.append(("mean, logits", channels * 1001, channels * 1001, side * side * channels + 1001))
    return layers


def seconds(layers, board, photos, half):
    """The least that the layers take, one after the other: each its bytes or its sums, whichever is longer."""
    _, _, _, _, _, _, _, _, bandwidth, fp32, fp16 = board
    element, peak = (2, fp16) if half else (4, fp32)
    total = 0.0
    for _, sums, weights, elements in layers:
        total += max((weights + photos * elements) * element / (bandwidth * 1e9), 2 * sums * photos / (peak * 1e9))
    return total


def compile_one(job):
    source, board, nvcc, folder = job
    stem = folder / f"{source.stem}.{board[1]}"
    log = stem.with_suffix(f".{board[1]}.txt")
    newest = max(path.stat().st_mtime for path in [source, *source.parent.glob("*.cuh"), *source.parent.glob("*.h")])
    if not log.exists() or log.stat().st_mtime < newest:
        run = subprocess.run([*nvcc, "-std=c++14", "-O3", "--fmad=false", "-I.", f"-arch=sm_{board[1]}", "-cubin", "-Xptxas", "-v",
                              str(source), "-o", f"{stem}.cubin"], capture_output=True, text=True)
        text = run.stdout + run.stderr
        if run.returncode != 0:
            return [f"{source} does not compile for {board[0]}:\n{text[-600:]}"], []
        log.write_text(text)
    rows, name, spilled = [], None, 0
    for line in log.read_text().splitlines():
        if match := re.search(r"Compiling entry function '(\S+)'", line):
            name, spilled = match[1], 0
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(match[1]) + int(match[2])
        elif name and (match := re.search(r"Used (\d+) registers", line)):
            shared = re.search(r"(\d+) bytes smem", line)
            rows.append((name, board[0], int(match[1]), int(shared[1]) if shared else 0, spilled))
            name = None
    return [], rows


def occupancy(board, registers, shared, threads=256):
    """Of the threads that a multiprocessor can have, how many it has with blocks of 256: registers come in units of 256 a
    warp, shared memory as it is asked for when it is compiled (what a launch adds, not counted)."""
    warps = threads // 32
    blocks = min(board[7] // threads, board[4] // (-(-registers * 32 // 256) * 256 * warps))
    if shared:
        blocks = min(blocks, board[5] // shared)
    return 100 * blocks * threads // board[7]


def judge(rows):
    boards = {board[0]: board for board in BOARDS}
    faults = []
    for name, where, registers, shared, spilled in rows:
        if spilled:
            faults.append(f"{where}: {name} spills {spilled} bytes")
        if shared > boards[where][6]:
            faults.append(f"{where}: {name} wants {shared} bytes of shared memory, a block has {boards[where][6]}")
        if registers > REGISTERS or occupancy(boards[where], registers, shared) == 0:
            faults.append(f"{where}: {name} with {registers} registers and {shared} shared bytes does not fit one block of 256")
    return faults


def too_wide(folder):
    """Block sizes that no board has. That registers suffice for a block of more than 256 is for __launch_bounds__ to see to."""
    return [f"{path}: {name} is {threads}, a block has {THREADS} threads at most"
            for path in sorted([*pathlib.Path(folder).glob("*.cuh"), *pathlib.Path(folder).glob("*.cu")])
            for name, threads in re.findall(r"constexpr (?:int|unsigned) (k\w*Threads) = (\d+);", path.read_text())
            if int(threads) > THREADS]


def readable(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    names = (re.sub(r"^void ", "", line).replace("couplet::", "").replace("(anonymous namespace)::", "") for line in text.splitlines())
    return [re.sub(r"\([^()]*(\([^()]*\)[^()]*)*\)$", "", name) for name in names]


def page(rows, commit, date):
    by_kernel = {}
    for name, where, registers, shared, spilled in rows:
        by_kernel.setdefault(name, {})[where] = (registers, shared, spilled)
    boards = {board[0]: board for board in BOARDS}
    text = f"""# The kernels as the boards' compilers see them

`make check-jetson` wrote this at commit {commit} on {date}: CUDA 11.8 for 53, 62 and 72, CUDA 13 for 87 and 110. Nothing here has run
on a board. A cell is registers / shared bytes / per cent of the multiprocessor's threads with blocks of 256; no kernel spills.

| kernel | {" | ".join(board[0] for board in BOARDS)} |
|---|{"---|" * len(BOARDS)}
"""
    ordered = sorted(by_kernel)
    for name, shown in sorted(zip(ordered, readable(ordered)), key=lambda pair: pair[1]):
        cells = []
        for where, board in boards.items():
            registers, shared, _ = by_kernel[name].get(where, (None, 0, 0))
            cells.append("-" if registers is None else f"{registers} / {shared} / {occupancy(board, registers, shared)}")
        text += f"| `{shown.replace('|', '')}` | {' | '.join(cells)} |\n"
    text += """
## The least a network can take

A prediction, not a measurement: each layer's bytes over the board's bandwidth or its sums over the board's peak, whichever is longer,
layer by layer (Inception as a whole), without launches, copies and decoding. Milliseconds a photo, fp32 / fp16, at batch 1 and in batches of 32.

| network | batch | """ + " | ".join(board[0] for board in BOARDS) + " |\n|---|---|" + "---|" * len(BOARDS) + "\n"
    nets = {f"mobilenet_{width:.2f}_{size}": mobilenet(width, size) for width, size in [(0.25, 128), (0.5, 224), (1.0, 224)]}
    nets["inception_v3"] = INCEPTION
    for name, layers in nets.items():
        for photos in (1, 32):
            cells = [" / ".join(f"{1000 * seconds(layers, board, photos, half) / photos:.3g}" for half in (False, True))
                     for board in BOARDS]
            text += f"| {name} | {photos} | {' | '.join(cells)} |\n"
    text += """
The same by layer, microseconds a photo, fp16, batch 32, of mobilenet_0.50_224:

| layer | """ + " | ".join(board[0] for board in BOARDS) + " |\n|---|" + "---|" * len(BOARDS) + "\n"
    for layer in nets["mobilenet_0.50_224"]:
        text += f"| {layer[0]} | " + " | ".join(f"{1e6 * seconds([layer], board, 32, True) / 32:.3g}" for board in BOARDS) + " |\n"
    tx2, one = boards["TX2"], nets["mobilenet_1.00_224"]
    quarter = nets["mobilenet_0.25_128"]
    text += f"""
Beside it, what others measured on a TX2 (TensorRT 3, batch 1, copies included; NVIDIA-AI-IOT/tf_to_trt_image_classification):
MobileNet 1.0_224 12.9 ms in fp16 and in fp32, 24.4 ms by TensorFlow; MobileNet 0.25_128 2.67 and 2.65, 15.7 by TensorFlow; Inception v3 26.3, 46.1 and
98.4. The floors above for batch 1 are {1000 * seconds(one, tx2, 1, True):.2f} and {1000 * seconds(one, tx2, 1, False):.2f} ms for 1.0_224, {1000 * seconds(quarter, tx2, 1, True):.3f} and {1000 * seconds(quarter, tx2, 1, False):.3f} ms for 0.25_128: launches, not sums, decide there.
"""
    return text


def main(work, old, new, commit="unknown", date="unknown"):
    folder = pathlib.Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    toolkits = {"11.8": [old, "-ccbin", "g++-11"], "13": [new]}
    jobs = [(source, board, toolkits[board[2]], folder) for source in sorted(pathlib.Path("kernels").glob("*.cu")) for board in BOARDS]
    faults, rows = [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for failed, found in pool.map(compile_one, jobs):
            faults += failed
            rows += found
    faults += judge(rows) + too_wide("kernels")
    if not rows:
        faults.append("no kernel was compiled")
    for fault in faults:
        print(fault)
    if not faults:
        pathlib.Path("docs/jetson_kernels.md").write_text(page(rows, commit, date))
    print(f"{len({row[0] for row in rows})} kernels, {len(BOARDS)} boards, {len(rows)} compiled, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
