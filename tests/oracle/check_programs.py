# SPDX-License-Identifier: Apache-2.0
"""The programs themselves: what label_image prints, what retrain writes."""
import json
import os
import re
import shutil

import numpy as np

import ours
import tf_reference as ref
from check_layers import flower_photos
from tf_reference import tf

STEPS = 60


def check_label_image(report, shared):
    """Labels, order and scores with label_image.py's own arithmetic, mean and std 128."""
    folder = f"{shared}/models/retrained/scratches_0.25_128"
    graph, labels = f"{folder}/retrained_graph.pb", f"{folder}/retrained_labels.txt"
    with open(labels) as file:
        names = [line.rstrip() for line in file]
    nasty = f"{shared}/data/nasty"
    awkward = ("png_16bit_rgb.png", "png_palette_alpha.png", "gif_animated_photo.gif", "jpeg_cmyk_adobe.jpg")
    photos = flower_photos(shared, 10) + [f"{nasty}/{name}" for name in awkward]
    preprocess = ref.Preprocess(128, 128, 128, "divide")
    output = ours.run("label_image", f"--graph={graph}", f"--labels={labels}", "--input_mean=128",
                      "--input_std=128", "--format=json", *photos)
    results = {r["path"]: r for r in map(json.loads, output.decode().splitlines())}
    with ref.session(ref.import_graph(graph)) as session:
        for photo in photos:
            try:
                pixels = preprocess(photo)
            except tf.errors.OpError as error:
                report.note(f"{os.path.basename(photo)}: TensorFlow refuses it: {error.message[:90]}")
                continue
            scores = np.squeeze(session.run("final_result:0", {"input:0": pixels}))
            top = scores.argsort()[-5:][::-1]
            compare_ranks(report, os.path.basename(photo), results.get(photo, {}), [names[i] for i in top],
                          scores[top])


def compare_ranks(report, photo, result, labels, scores):
    got = result.get("results", [])
    if [r["label"] for r in got] != labels:
        report.fail(f"{photo}: {[r['label'] for r in got]} for {labels} {result.get('error', '')}")
    else:
        report.check(f"{photo}: scores of {len(labels)} labels",
                     max(abs(r["score"] - float(s)) for r, s in zip(got, scores)), 1e-5)


def check_retrain(report, shared):
    """A short run of retrain: its split, its graph in TensorFlow, its events in TensorBoard's own reader."""
    work = os.path.abspath(f"{ours.BUILD}/oracle")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(f"{work}/tf_files/models/mobilenet_v1_0.25_128")
    os.symlink(f"{shared}/data/flower_photos", f"{work}/tf_files/flower_1000")
    os.symlink(f"{shared}/models/mobilenet_v1_0.25_128/frozen_graph.pb",
               f"{work}/tf_files/models/mobilenet_v1_0.25_128/frozen_graph.pb")
    programs = os.path.abspath(ours.BUILD)
    home = os.getcwd()
    os.chdir(work)
    ours.BUILD = programs
    try:
        printed = ours.run(
            "retrain", "--bottleneck_dir=tf_files/bottlenecks", f"--how_many_training_steps={STEPS}",
            "--model_dir=tf_files/models", "--summaries_dir=tf_files/summaries",
            "--output_graph=tf_files/retrained_graph.pb", "--output_labels=tf_files/retrained_labels.txt",
            "--architecture=mobilenet_0.25_128", "--image_dir=tf_files/flower_1000", "--offline")
        check_retrained_graph(report, shared, printed.decode())
        check_events(report, shared)
    finally:
        os.chdir(home)


def check_retrained_graph(report, shared, printed):
    lists = ref.create_image_lists("tf_files/flower_1000")
    with open("tf_files/retrained_labels.txt") as file:
        report.expect("labels as retrain.py writes them", file.read() == "".join(k + "\n" for k in lists))
    graph_def = ref.load_graph_def("tf_files/retrained_graph.pb")
    original = ref.load_graph_def(f"{shared}/models/retrained/scratches_0.25_128/retrained_graph.pb")
    report.expect("nodes, ops and inputs as in a graph that retrain.py wrote",
                  [(n.name, n.op, list(n.input)) for n in graph_def.node] ==
                  [(n.name, n.op, list(n.input)) for n in original.node])

    def attributes(node):
        """All but the weights and biases, whose number of classes differs, and what TensorFlow adds on import."""
        left_out = {"dilations"} | ({"value"} if node.name.startswith("final_training_ops") else set())
        return {name: value.SerializeToString() for name, value in node.attr.items() if name not in left_out}

    report.expect("attributes as there", [attributes(n) for n in graph_def.node] ==
                  [attributes(n) for n in original.node])

    test = [(f"tf_files/flower_1000/{c['dir']}/{file}", label) for label, c in enumerate(lists.values())
            for file in c["testing"]]
    output = ours.run("label_image", "--graph=tf_files/retrained_graph.pb",
                      "--labels=tf_files/retrained_labels.txt", "--format=json", *[path for path, _ in test])
    results = [json.loads(line) for line in output.decode().splitlines()]
    preprocess, worst, right = ref.Preprocess(128, 127.5, 127.5), 0.0, 0
    with ref.session(ref.import_graph("tf_files/retrained_graph.pb")) as session:
        for (path, label), result in zip(test, results):
            scores = np.squeeze(session.run("final_result:0", {"input:0": preprocess(path)}))
            right += int(scores.argmax() == label)
            worst = max([worst] + [abs(r["score"] - float(scores[r["index"]])) for r in result["results"]])
    report.check(f"TensorFlow runs our graph: scores of {len(test)} photos", worst, 1e-5)
    accuracy = re.search(r"Final test accuracy = ([0-9.]+)% \(N=(\d+)\)", printed)
    report.expect(f"{accuracy and accuracy.group(0)}: TensorFlow counts {right} of {len(test)}",
                  bool(accuracy) and int(accuracy.group(2)) == len(test)
                  and accuracy.group(1) == f"{100 * right / len(test):.1f}")


SUMMARIES = ["final_training_ops/weights/summaries/", "final_training_ops/biases/summaries/"]
SCALARS = {s + x for s in SUMMARIES for x in ("mean", "stddev_1", "max", "min")}
SCALARS |= {"accuracy_1", "cross_entropy_1"}
HISTOGRAMS = {s + "histogram" for s in SUMMARIES}
HISTOGRAMS |= {"final_training_ops/Wx_plus_b/pre_activations", "activations"}


def check_events(report, shared):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(path):
        accumulator = EventAccumulator(path, size_guidance={"scalars": 0, "histograms": 0})
        return accumulator.Reload()

    def later(tag):
        """Later TensorFlow numbers mean, max and min too."""
        return re.sub(r"/(mean|max|min)_1$", r"/\1", tag)

    golden = read(next(f.path for f in os.scandir(f"{shared}/golden/events"))).Tags()
    report.expect("scalar tags of a file that retrain.py wrote are those we look for",
                  {later(t) for t in golden["scalars"]} == SCALARS)
    report.expect("and the histograms", set(golden["histograms"]) == HISTOGRAMS)
    for split, steps in (("train", list(range(STEPS))), ("validation", [*range(0, STEPS, 10), STEPS - 1])):
        events = read(f"tf_files/summaries/{split}")
        tags = events.Tags()
        report.expect(f"{split}: scalar tags", set(tags["scalars"]) == SCALARS)
        report.expect(f"{split}: histogram tags", set(tags["histograms"]) == HISTOGRAMS)
        for tag in sorted(SCALARS & set(tags["scalars"])):
            points = events.Scalars(tag)
            report.expect(f"{split}: {tag}: {len(points)} points",
                          [p.step for p in points] == steps and all(np.isfinite(p.value) for p in points))
        for tag in sorted(HISTOGRAMS & set(tags["histograms"])):
            check_histograms(report, f"{split}: {tag}", events.Histograms(tag), steps)
        report.expect(f"{split}: a graph: {split == 'train'}", tags["graph"] == (split == "train"))
        if split == "train":
            check_event_graph(report, events.Graph())


def check_histograms(report, what, points, steps):
    """One a step, and each consistent in itself: count, range, sum and rising limits."""
    fine = [p.step for p in points] == steps
    for value in (p.histogram_value for p in points):
        counts, limits = np.array(value.bucket), np.array(value.bucket_limit)
        fine = (fine and value.num > 0 and abs(counts.sum() - value.num) < 0.5 and (np.diff(limits) > 0).all()
                and value.min <= value.max <= limits[-1] and value.sum_squares >= 0
                and value.num * value.min - 1e-6 <= value.sum <= value.num * value.max + 1e-6)
    report.expect(f"{what}: {len(points)} histograms", fine)


def check_event_graph(report, graph_def):
    names = {n.name for n in graph_def.node}
    wanted = {"input", "MobilenetV1/Predictions/Reshape", "input_1/BottleneckInputPlaceholder",
              "final_result", "final_training_ops/Wx_plus_b/MatMul", "final_training_ops/Wx_plus_b/add",
              "final_training_ops/weights/final_weights", "final_training_ops/biases/final_biases"}
    report.expect(f"train: the original's nodes among {len(names)}, missing: {wanted - names or 'none'}",
                  wanted <= names)
