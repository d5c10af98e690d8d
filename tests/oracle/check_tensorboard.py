"""retrain's event files as TensorBoard itself serves them: started on the loopback, asked over HTTP for every tag, and
held against --json. Usage: check_tensorboard.py (needs tensorboard; COUPLET_BUILD names the folder of the programs).
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

BUILD = pathlib.Path(os.environ.get("COUPLET_BUILD", "build")).resolve()
BACKBONE = pathlib.Path("weights/couplet_mobilenet_v1_0.25_128.pb").resolve()
RATES = ["0.005", "0.01"]
SCALARS = {"accuracy_1", "cross_entropy_1"} | {
    f"final_training_ops/{part}/summaries/{what}" for part in ("weights", "biases") for what in ("mean", "stddev_1", "max", "min")}
HISTOGRAMS = {"final_training_ops/weights/summaries/histogram", "final_training_ops/biases/summaries/histogram",
              "final_training_ops/Wx_plus_b/pre_activations", "activations"}
STEPS = 60


def check(condition, what):
    if not condition:
        sys.exit(f"check_tensorboard: {what}")


def photos(folder):
    """Three labels of plain colours, as BMPs: no library is needed to write one."""
    for number, label in enumerate(("red", "green", "blue")):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            colour = [20 + i, 20 + i, 20 + i]
            colour[2 - number] = 150 + 3 * i
            pixels = bytes(colour) * 32 * 32
            header = b"BM" + (54 + len(pixels)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
            header += (40).to_bytes(4, "little") + (32).to_bytes(4, "little") * 2 + b"\x01\0\x18\0" + bytes(24)
            (folder / label / f"{label}_{i}.bmp").write_bytes(header + pixels)


def retrain(work, rate):
    subprocess.run([BUILD / "retrain", f"--model_file={BACKBONE}", "--image_dir=photos", f"--output_graph={rate}.pb",
                    f"--output_labels={rate}.txt", "--bottleneck_dir=b", f"--summaries_dir=logs/LR_{rate}", f"--json={rate}.json",
                    f"--learning_rate={rate}", f"--how_many_training_steps={STEPS}", "--report=", "--projector", "--quiet"],
                   cwd=work, check=True, stdout=subprocess.DEVNULL)
    return json.loads((work / f"{rate}.json").read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Board:
    def __init__(self, logs):
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--host", "127.0.0.1",
                                         "--port", str(self.port), "--reload_interval", "1", "--samples_per_plugin",
                                         "scalars=10000,histograms=10000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def get(self, path, binary=False, **query):
        address = f"http://127.0.0.1:{self.port}/data/{path}"
        if query:
            address += "?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.read() if binary else answer.read().decode()

    def json(self, path, **query):
        return json.loads(self.get(path, **query))

    def wait(self, runs):
        for _ in range(300):
            check(self.process.poll() is None, "TensorBoard ended before it answered")
            try:
                # Files are read bit by bit: the last tag's last step says that a run is there in full.
                if set(self.json("plugin/scalars/tags")) >= runs and all(
                        STEPS - 1 in {step for _, step, _ in self.json("plugin/scalars/scalars", run=run, tag="accuracy_1")}
                        for run in runs):
                    return
            except OSError:
                pass
            time.sleep(0.2)
        check(False, "TensorBoard did not find the runs within a minute")

    def close(self):
        self.process.terminate()
        self.process.wait()


def close_to(a, b):
    # Both are float32 on their way.
    return abs(a - b) <= 1e-6 * max(1.0, abs(b))


def check_run(board, run, report, counted):
    scalars, histograms = board.json("plugin/scalars/tags")[run], board.json("plugin/histograms/tags")[run]
    check(set(scalars) == SCALARS, f"{run}: scalars {sorted(scalars)}")
    check(set(histograms) == HISTOGRAMS, f"{run}: histograms {sorted(histograms)}")
    values = {}
    for tag in sorted(SCALARS):
        points = {step: value for _, step, value in board.json("plugin/scalars/scalars", run=run, tag=tag)}
        wanted = range(STEPS) if run.endswith("train") else [entry["step"] for entry in report["history"]]
        check(sorted(points) == sorted(wanted), f"{run}: {tag} has steps {sorted(points)}")
        values[tag] = points
        counted[0] += len(points)
    for tag in sorted(HISTOGRAMS):
        points = board.json("plugin/histograms/histograms", run=run, tag=tag)
        # The plugin thins out what it serves to some fifty.
        check(len(points) >= min(len(values["accuracy_1"]), 50), f"{run}: {tag} has {len(points)} histograms")
        for _, step, buckets in points:
            total = sum(bucket[2] for bucket in buckets)
            classes = len(report["labels"])
            size = {"final_training_ops/weights/summaries/histogram": 1001 * classes,
                    "final_training_ops/biases/summaries/histogram": classes}.get(tag, 100 * classes)
            check(abs(total - size) < 1e-3 * size, f"{run}: {tag} at step {step} counts {total} values, not {size}")
            counted[1] += 1
    return values


def check_projector(board, work, run, counted):
    """The points against the bottlenecks that retrain writes as text files, in TensorFlow's form."""
    config = board.json("plugin/projector/info", run=run)["embeddings"]
    check(len(config) == 1 and config[0]["tensorName"] == "bottlenecks", f"{run}: the projector has {config}")
    count, width = config[0]["tensorShape"]
    vectors = struct.unpack(f"<{count * width}f", board.get("plugin/projector/tensor", binary=True, run=run, name="bottlenecks"))
    head, *lines = board.get("plugin/projector/metadata", run=run, name="bottlenecks").splitlines()
    check(head == "label\tsplit\tphoto", f"{run}: metadata begin with {head}")
    check(count == len(lines) == 90, f"{run}: {count} points, {len(lines)} lines of metadata")
    for i, line in enumerate(lines):
        label, _, photo = line.split("\t")
        check(photo.split("/")[1] == label, f"{run}: {photo} has the label {label}")
        text = next((work / "text" / label).glob(pathlib.Path(photo).name + "_*.txt")).read_text()
        for got, want in zip(vectors[i * width:(i + 1) * width], map(float, text.split(",")), strict=True):
            # The very first number gives up its last bits (loaders/projector.cc).
            check(abs(got - want) <= (1e-4 if got is vectors[0] else 1e-6) * max(1.0, abs(want)), f"{run}: {photo}: {got} is not {want}")
    sprite = board.get("plugin/projector/sprite_image", binary=True, run=run, name="bottlenecks")
    side = config[0]["sprite"]["singleImageDim"]
    check(side == [48, 48] and sprite[:3] == b"\xff\xd8\xff", f"{run}: the sprite is {side}, {sprite[:3]}")
    counted[2] += count


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="couplet_tensorboard_"))
    board = None
    try:
        photos(work / "photos")
        reports = {rate: retrain(work, rate) for rate in RATES}
        subprocess.run([BUILD / "retrain", f"--model_file={BACKBONE}", "--image_dir=photos", "--output_graph=text.pb", "--output_labels=text.txt",
                        "--bottleneck_dir=text", "--bottleneck_format=text", "--summaries_dir=", "--how_many_training_steps=1", "--report=", "--quiet"],
                       cwd=work, check=True, stdout=subprocess.DEVNULL)
        board = Board(str(work / "logs"))
        board.wait({f"LR_{rate}/{part}" for rate in RATES for part in ("train", "validation")})
        counted = [0, 0, 0]
        for rate, report in reports.items():
            check_run(board, f"LR_{rate}/train", report, counted)
            check_projector(board, work, f"LR_{rate}/train", counted)
            validation = check_run(board, f"LR_{rate}/validation", report, counted)
            for entry in report["history"]:
                for tag, key in (("accuracy_1", "validation_accuracy"), ("cross_entropy_1", "validation_cross_entropy")):
                    got = validation[tag][entry["step"]]
                    check(close_to(got, entry[key]), f"LR_{rate}: {tag} at step {entry['step']} is {got}, --json says {entry[key]}")
            graph = board.get("plugin/graphs/graph", run=f"LR_{rate}/train", conceptual="false")
            for name in ("MobilenetV1/Conv2d_0/weights", "final_training_ops/Wx_plus_b/MatMul", "cross_entropy", "final_result"):
                check(name in graph, f"LR_{rate}: the graph page has no {name}")
        print(f"check_tensorboard: {len(RATES)} runs, {counted[0]} scalars, {counted[1]} histograms, the graphs, {counted[2]} points of the "
              "projector; values as in --json and the bottlenecks")
    finally:
        if board is not None:
            board.close()
        shutil.rmtree(work)


main()
