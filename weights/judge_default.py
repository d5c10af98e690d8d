# SPDX-License-Identifier: Apache-2.0
"""Judges the default backbone by what it is for: retrain on tasks it never saw, beside Google's graph of the same shape
and beside random weights.

    make judge-default       pictures, 5 seeds x 5 splits x 5 tasks x 3 backbones, the table in weights/README.md

Every accuracy is that of build/retrain's own test split. A split is another spelling of the folder's path: retrain.py
draws the split from the path. The interval is Student's over the splits' means (seeds of one split are no independent
samples), and says how far another draw of splits would move the mean.
"""
import argparse
import datetime
import json
import math
import os
import shutil
import subprocess

import numpy as np

from graphdef_edit import read_float_constants, write_with_constants
from judge_pictures import TASKS, make_pictures

SEEDS = SPLITS = 5
T_95 = 2.776   # Student's quantile for 95 % of both sides, four degrees of freedom
BACKBONES = ["Couplet", "Google", "random"]
BEGIN, END = "<!-- judge-default: begin -->\n", "<!-- judge-default: end -->\n"


def write_random_backbone(template, path, seed=1):
    """The same graph with random weights by He's rule: what a network knows that has learnt nothing."""
    rng = np.random.default_rng(seed)
    fresh = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1, "biases": 0}
    arrays = {}
    for name, value in read_float_constants(template).items():
        last = name.rsplit("/", 1)[-1]
        if last in fresh:
            arrays[name] = np.full(value.shape, fresh[last], np.float32)
        elif last.endswith("weights"):
            inputs = value.shape[0] * value.shape[1] * (1 if last == "depthwise_weights" else value.shape[2])
            arrays[name] = rng.normal(0, math.sqrt(2 / inputs), value.shape).astype(np.float32)
    write_with_constants(template, arrays, path)


def accuracy(programs, work, task, backbone_flag, split, seed):
    """Test accuracy of one run of retrain, 0 to 1."""
    out = f"{work}/run"
    command = [f"{programs}/retrain", backbone_flag, f"--image_dir={work}/split_{split}/{task}", "--alpha=white",
               f"--seed={seed}", "--testing_percentage=20", "--eval_step_interval=4000", "--quiet",
               f"--bottleneck_dir={work}/bottlenecks", f"--summaries_dir={out}/summaries",
               f"--output_graph={out}/graph.pb", f"--output_labels={out}/labels.txt", f"--json={out}/report.json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {ran.returncode}: {ran.stderr}")
    with open(f"{out}/report.json") as file:
        return json.load(file)["test"]["accuracy"]


def mean_and_half_width(values):
    """[splits, seeds] -> mean, half of the 95 % interval."""
    means = values.mean(1)
    return means.mean(), T_95 * means.std(ddof=1) / math.sqrt(len(means))


def percent(values):
    mean, half = mean_and_half_width(values)
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def table(results, counts, commit):
    """results: {task: {backbone: [splits, seeds]}}"""
    lines = [f"`make judge-default`, {datetime.date.today()}, commit {commit}. Per cent right of retrain's test split, mean of "
             f"{SPLITS} splits x {SEEDS} seeds ± half a 95 % interval;", "the gap is Couplet's less Google's, run by run.", "",
             "| task | pictures | classes | Couplet | Google's 0.25_128 | random weights | gap |", "|---|---|---|---|---|---|---|"]
    for task, by in results.items():
        lines.append(f"| {TASKS[task]} | {counts[task][0]} | {counts[task][1]} | " + " | ".join(percent(by[b]) for b in BACKBONES)
                     + f" | {percent(by['Couplet'] - by['Google'])} |")
    average = {b: np.mean([by[b] for by in results.values()], axis=0) for b in BACKBONES}
    lines.append("| average | | | " + " | ".join(percent(average[b]) for b in BACKBONES)
                 + f" | {percent(average['Couplet'] - average['Google'])} |")
    return "\n".join(lines) + "\n"


def above_random(by):
    """Whether the intervals are apart, ours above."""
    ours, half = mean_and_half_width(by["Couplet"])
    floor, floor_half = mean_and_half_width(by["random"])
    return ours - half > floor + floor_half


def write_into(path, text):
    with open(path) as file:
        page = file.read()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with open(path + ".part", "w") as file:
        file.write(before + BEGIN + text + END + after)
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default="build", help="folder with retrain")
    parser.add_argument("--shared", default="../shared", help="folder with the flower photos and Google's graph")
    parser.add_argument("--stamps", default="/usr/share/tuxpaint/stamps")
    parser.add_argument("--work", default="build/judge")
    parser.add_argument("--graph", default="", help="judge this graph; empty: the one that comes with Couplet")
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--readme", default="weights/README.md", help="page whose table is replaced; empty: print only")
    parser.add_argument("--pictures_only", action="store_true", help="make the pictures and stop")
    args = parser.parse_args()

    counts = make_pictures(args.shared, args.stamps, f"{args.work}/pictures")
    if args.pictures_only:
        return
    for split in range(SPLITS):
        link = f"{args.work}/split_{split}"
        if not os.path.islink(link):
            os.symlink("pictures", link)
    google = f"{args.shared}/models/mobilenet_v1_0.25_128/frozen_graph.pb"
    write_random_backbone(google, f"{args.work}/random.pb")
    flags = {"Couplet": f"--model_file={args.graph}" if args.graph else "--architecture=couplet_0.25_128",
             "Google": f"--model_file={google}", "random": f"--model_file={args.work}/random.pb"}
    results = {}
    for task in TASKS:
        results[task] = {}
        for backbone in BACKBONES:
            runs = [[accuracy(args.programs, args.work, task, flags[backbone], split, seed) for seed in range(SEEDS)]
                    for split in range(SPLITS)]
            results[task][backbone] = np.array(runs)
            print(f"{task}, {backbone}: {percent(results[task][backbone])}", flush=True)
    shutil.rmtree(f"{args.work}/run")
    text = table(results, counts, args.commit)
    print(text)
    if args.readme:
        write_into(args.readme, text)
    low = [task for task, by in results.items() if not above_random(by)]
    if low:
        raise SystemExit(f"not above random weights with intervals apart: {', '.join(low)}")


if __name__ == "__main__":
    main()
