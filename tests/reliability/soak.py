#!/usr/bin/env python3
"""Random commands with random faults for a given time; each result is held to that of a clean run (make soak MINUTES=30).

Two things run beside each other in a folder of their own:
- short commands, one after the other, over folders that keep what earlier ones left: retrain with flags drawn at random, undisturbed, or
  killed, signalled, or with a call that fails (tests/support/faults/shim.cc); then the same command undisturbed, which must give the very
  bytes of a run in a fresh folder. Between them label_image, whose answers must be the same too, on bent graphs and photos as well,
  which must end with a documented exit code.
- one long training on distorted photos, whose resident memory must stay within 5 % of what it is after the first minute and whose
  number of descriptors must not change; at the end it is interrupted and must leave a checkpoint.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import collections
import hashlib
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINUTES = 30   # that count
LABELS = ("amber", "blue", "green", "red")
WARM_UP_S = 60


def png(width, height, rng, colour):
    """A picture around one colour, as PNG."""
    rows = b"".join(b"\0" + bytes(min(255, max(0, colour[i % 3] + rng.randrange(-40, 40))) for i in range(3 * width))
                    for _ in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"


class LongRun:
    """The training that runs all the time, looked at every few seconds."""

    def __init__(self, folder, retrain):
        self.folder = folder
        self.process = subprocess.Popen(
            [retrain, "--device=cpu", "--model_file=backbone.pb", "--image_dir=photos", "--bottleneck_dir=long/bottlenecks",
             "--output_graph=long/graph.pb", "--output_labels=long/labels.txt", "--summaries_dir=", "--threads=1", "--quiet",
             "--flip_left_right", "--random_crop=10", "--train_batch_size=8", "--eval_step_interval=1000",
             "--how_many_training_steps=2000000000"], cwd=folder, stderr=subprocess.PIPE, text=True)
        self.samples = []  # (seconds, resident pages, descriptors)
        self.begun = time.monotonic()

    def look(self):
        if self.process.poll() is not None:
            return
        proc = pathlib.Path("/proc") / str(self.process.pid)
        resident = int((proc / "statm").read_text().split()[1])
        descriptors = len(list((proc / "fd").iterdir()))
        # A checkpoint that is just being written, and its folder, have descriptors of their own for a moment; what leaked stays.
        for _ in range(20):
            if not self.samples or descriptors <= self.samples[-1][2]:
                break
            time.sleep(0.1)
            descriptors = min(descriptors, len(list((proc / "fd").iterdir())))
        self.samples.append((time.monotonic() - self.begun, resident, descriptors))

    def end(self, finding):
        if self.process.poll() is not None:
            finding(f"the long run ended by itself: {self.process.returncode} {self.process.stderr.read()}")
            return
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=120)
        if self.process.returncode != 143 or "--resume" not in err:
            finding(f"the long run, interrupted: {self.process.returncode} {err}")
        if not (self.folder / "long/graph.pb.checkpoint").exists():
            finding("the long run left no checkpoint")
        warm = [sample for sample in self.samples if sample[0] >= WARM_UP_S]
        if len(warm) < 2:
            finding("the soak was too short for two looks at the long run after its first minute")
            return
        first, highest = warm[0][1], max(sample[1] for sample in warm)
        if highest > first * 1.05:
            finding(f"the long run grew from {first} to {highest} pages")
        if len({sample[2] for sample in warm}) != 1:
            finding(f"the long run's descriptors changed: {sorted({sample[2] for sample in warm})}")

    def summary(self):
        warm = [sample for sample in self.samples if sample[0] >= WARM_UP_S]
        pages = [sample[1] for sample in warm] or [0]
        return (f"long run {pages[0] * 4 // 1024} MiB resident after a minute, {max(pages) * 4 // 1024} at most, "
                f"{warm[-1][2] if warm else '?'} descriptors")


class Soak:
    def __init__(self, folder, build, seed):
        self.folder, self.rng = folder, random.Random(seed)
        self.retrain, self.label_image = str(build / "retrain"), str(build / "label_image")
        self.shim = str(build / "tests" / "libfaults.so")
        self.counts, self.findings = collections.Counter(), []
        self.clean, self.calls = {}, {}
        for label in LABELS:
            (folder / "photos" / label).mkdir(parents=True)
            for i in range(12):
                colour = [self.rng.randrange(256) for _ in range(3)]
                (folder / "photos" / label / f"{label}_{i}.png").write_bytes(png(40 + i, 30 + i, self.rng, colour))
        shutil.copy(ROOT / "weights" / "couplet_mobilenet_v1_0.25_128.pb", folder / "backbone.pb")
        (folder / "work").mkdir()

    def finding(self, what):
        self.findings.append(what)
        print("FINDING:", what[:2000], flush=True)

    def run(self, argv, fault=None):
        env = dict(os.environ)
        report = self.folder / "report"
        report.unlink(missing_ok=True)
        if fault is not None:
            env.update(LD_PRELOAD=self.shim, COUPLET_FAULTS=fault, COUPLET_FAULTS_REPORT=str(report))
        done = subprocess.run(argv, cwd=self.folder, env=env, capture_output=True, timeout=300)
        lines = [line.split() for line in report.read_text().splitlines()] if report.exists() else []
        return done.returncode, done.stdout, done.stderr.decode(errors="replace"), dict(line for line in lines if len(line) == 2)

    def command(self, flags, out):
        return [self.retrain, "--device=cpu", "--model_file=backbone.pb", "--image_dir=photos", "--strict", f"--output_graph={out}/graph.pb",
                f"--output_labels={out}/labels.txt", f"--summaries_dir={out}/summaries", f"--bottleneck_dir={out}/bottlenecks",
                "--train_batch_size=8", "--checkpoint_interval=10", *flags]

    def draw_flags(self):
        """What the bytes depend on, and what they must not depend on."""
        rng = self.rng
        flags = [f"--seed={rng.randrange(3)}", f"--how_many_training_steps={rng.choice((15, 40))}",
                 f"--learning_rate={rng.choice(('0.01', '0.001'))}"]
        if rng.random() < 0.2:
            flags += ["--flip_left_right", "--how_many_training_steps=5"]
        more = [f"--threads={rng.choice((1, 2, 3))}"]
        if rng.random() < 0.3:
            more += ["--bottleneck_format=text"]
        if rng.random() < 0.2:
            more += ["--verify_cache" + rng.choice(("", "=all"))]
        return flags, more

    def clean_bytes(self, flags):
        key = tuple(flags)
        if key not in self.clean:
            shutil.rmtree(self.folder / "clean", ignore_errors=True)
            code, _, err, _ = self.run(self.command(flags, "clean"))
            if code != 0:
                self.finding(f"a clean run ends with {code}: {err}")
            self.clean[key] = digest(self.folder / "clean/graph.pb")
        return self.clean[key]

    def draw_fault(self, argv):
        rng = self.rng
        kind = rng.choice(("write", "io", "memory", "sqlite"))
        action = rng.choice(("kill", "kill", "signal", "fail", "fail+")) if kind in ("write", "io") else "fail"
        if kind not in self.calls:
            self.calls[kind] = int(self.run(argv, f"count:{kind}:0")[3].get("calls", 100))
        code = {"signal": rng.choice((signal.SIGINT, signal.SIGTERM)), "kill": 9}.get(action, rng.choice((5, 28, 12)))
        if kind == "sqlite":
            code = rng.choice((7, 10, 13, 5, 14))
        return action, kind, f"{action}:{kind}:{1 + int(self.calls[kind] * rng.random() ** 3)}:{int(code)}"

    def disturbed(self):
        flags, more = self.draw_flags()
        wanted = self.clean_bytes(flags)
        argv = self.command(flags + more, "work")
        graph, labels = self.folder / "work/graph.pb", self.folder / "work/labels.txt"
        before = digest(graph)
        action, kind, fault = self.draw_fault(argv)
        resume = self.rng.random() < 0.5
        # Another training's checkpoint would be refused, which is a test of its own.
        if resume:
            (self.folder / "work/graph.pb.checkpoint").unlink(missing_ok=True)
        code, _, err, report = self.run(argv, fault)
        what = f"{fault} at {report.get('at')} {' '.join(flags + more)}: exit {code}: {err[-600:]}"
        self.counts["faults"] += "at" in report
        self.counts[f"{action} {kind}"] += "at" in report
        allowed = {"kill": (0, -9), "signal": (0, 130, 143)}.get(action, (0, 2, 3, 4))
        if code not in allowed:
            self.finding("exit code: " + what)
        after = digest(graph)
        if after not in (before, wanted) or (code == 0 and after != wanted):
            self.finding("graph: " + what)
        if labels.exists() and labels.read_text() != "".join(label + "\n" for label in LABELS):
            self.finding("labels: " + what)
        code, _, err, _ = self.run(self.command(flags + more + (["--resume"] if resume else []), "work"))
        if code != 0 or digest(graph) != wanted:
            self.finding(f"the next run: exit {code}: {err[-600:]}; after {what}")
        for left in (self.folder / "work").glob(".couplet-*"):
            self.finding(f"left behind: {left}; after {what}")
            left.unlink()
        self.counts["retrain"] += 2

    def labelled(self):
        photos = [str(path.relative_to(self.folder)) for path in self.rng.sample(sorted((self.folder / "photos").rglob("*.png")), 5)]
        argv = [self.label_image, "--device=cpu", "--graph=work/graph.pb", "--labels=work/labels.txt", "--format=tsv", *photos]
        if not (self.folder / "work/graph.pb").exists():
            return
        first, second = self.run(argv), self.run(argv + [f"--threads={self.rng.choice((1, 2))}"])
        if first[0] != 0 or first[1] != second[1]:
            self.finding(f"label_image: {first} and {second}")
        self.counts["label_image"] += 2

    def bent(self):
        source = self.rng.choice([self.folder / "backbone.pb", *sorted((self.folder / "photos/red").iterdir())])
        data = bytearray(source.read_bytes())
        for _ in range(self.rng.randrange(1, 20)):
            data[self.rng.randrange(len(data) if self.rng.random() < 0.5 else min(len(data), 400))] = self.rng.randrange(256)
        if self.rng.random() < 0.3:
            del data[self.rng.randrange(len(data)):]
        bent = self.folder / ("bent" + source.suffix)
        bent.write_bytes(data)
        graph = "bent.pb" if source.suffix == ".pb" else "backbone.pb"
        photo = "bent.png" if source.suffix == ".png" else "photos/red/red_1.png"
        (self.folder / "names.txt").write_text("".join(f"name {i}\n" for i in range(1001)))
        code, _, err, _ = self.run([self.label_image, "--device=cpu", f"--graph={graph}", "--labels=names.txt", f"--image={photo}"])
        if code not in (0, 2) or (code == 2 and "label_image: " not in err):
            self.finding(f"bent {source.name}: exit {code}: {err}")
            shutil.copy(bent, ROOT / "build" / f"finding{len(self.findings)}{source.suffix}")
        self.counts["bad inputs"] += 1

    def go(self, minutes):
        long_run = LongRun(self.folder, self.retrain)
        end, next_look, next_word = time.monotonic() + 60 * minutes, 0, 0
        while time.monotonic() < end:
            self.rng.choice((self.disturbed, self.disturbed, self.labelled, self.bent))()
            now = time.monotonic()
            if now >= next_look:
                long_run.look()
                next_look = now + 5
            if now >= next_word:
                print(f"{(end - now) / 60:.0f} min to go: {dict(self.counts)}, {len(self.findings)} findings", flush=True)
                next_word = now + 60
        long_run.look()
        long_run.end(self.finding)
        return long_run.summary()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", default="build")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        soak = Soak(pathlib.Path(folder), (ROOT / args.build).resolve(), args.seed)
        summary = soak.go(args.minutes)
    if args.minutes < MINUTES:   # a short one takes nobody's place in the table
        print(f"soak: {args.minutes:g} minutes, {len(soak.findings)} findings; {MINUTES} minutes are counted")
        return 1 if soak.findings else 0
    loads = ", ".join(f"{count} {name}" for name, count in sorted(soak.counts.items()))
    return subprocess.run([sys.executable, ROOT / "tests/reliability/reliability.py", "count", "soak", f"--required={MINUTES}",
                           f"--done={int(args.minutes)}", f"--open={len(soak.findings)}",
                           f"--command=make soak MINUTES={args.minutes:g}",
                           f"--notes=minutes; {loads}; {summary}"]).returncode


if __name__ == "__main__":
    sys.exit(main())
