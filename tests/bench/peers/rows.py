# SPDX-License-Identifier: Apache-2.0
"""The rows: what each contestant does in one round, the least it could take on this machine, and what we want to reach."""
import shutil
import statistics
import time
from dataclasses import dataclass, field

import material
from contestants import run_seconds
from material import BUILD, PHOTOS, TEMP, ours
from targets import at_least, at_most, of_the_floor, times

STEPS = 4000
# For us, for the original, for those that take batches.
PHOTO_COUNTS = {"0.25_128": (1000, 200, 500), "0.50_224": (500, 100, 200), "1.0_224": (200, 60, 100), "Inception v3": (100, 16, 32)}


@dataclass
class Row:
    group: str
    name: str
    unit: str
    round: dict        # contestant -> a function that gives the round's figure
    floor: object      # ceilings of the machine -> figure
    targets: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    side: int = 0      # the ceilings' decoding ends in a thumbnail and in pixels of this size; 0: in decoded bytes
    most_rounds: int = 99  # of what is nearly the same every time, or ours alone
    left_out: dict = field(default_factory=dict)  # peer -> why: what it computes is not the same
    warm_up: bool = False  # a round that does not count comes first: contestants that load and compile what they keep

    @property
    def higher_is_better(self):
        return self.unit == "photos/s"


def network_floor(network):
    return lambda m: 1 / (1 / m["decode"] + network.flops / m["peak"])


def floor_notes(network):
    return [f"{network.name}: the floor takes each window's products for needed; ours takes fewer (Winograd), hence over 100 %"
            ] if network.name == "Inception v3" else []


def backbone_rows(workers, networks, cores):
    """(a) backbone only"""
    wanted = {"0.25_128": [times(1.2, "onnxruntime", "openvino")], "0.50_224": [times(1.08, "onnxruntime", "openvino")]}
    large = [times(1, "onnxruntime", "openvino"), of_the_floor(88)]
    for net in networks:
        for threads in sorted({1, cores}):
            for batch in (1, 32):
                seconds = 0.3 if batch == 1 else 0.5
                def engine(peer, threads=threads, batch=batch, net=net, seconds=seconds):
                    return lambda: workers.ask(peer, "engine_peers", "backbone", peer, net.onnx, net.pixels, threads, batch, seconds)
                yield Row("a", f"{net.name}, batch {batch}, {threads} thread{'s' * (threads > 1)}", "photos/s", {
                    "ours": lambda t=threads, b=batch, n=net, s=seconds: ours("backbone", n.graph, n.floats, t, b, s),
                    "original": lambda t=threads, b=batch, n=net, s=seconds: workers.ask(
                        "original", "tensorflow_peers", "backbone", n.graph, n.pixels, t, b, s),
                    "onnxruntime": engine("onnxruntime"), "openvino": engine("openvino"),
                }, lambda m, t=threads, n=net: (m["peak1"] if t == 1 else m["peak"]) / n.flops,
                    wanted.get(net.name, large), floor_notes(net), left_out=net.left_out, warm_up=True)
        workers.close()


def vector_rows(workers, networks, cores):
    """(b) photos in a folder -> vectors, decode included"""
    wanted = {"0.25_128": [times(3, "keras"), times(11, "original")], "0.50_224": [times(3, "keras")], "1.0_224": [times(2, "keras")],
              "Inception v3": [times(1.8, "keras")]}
    for net in networks:
        own, one, batched = PHOTO_COUNTS[net.name]

        def engine(peer, net=net, n=batched):
            return lambda: workers.ask(peer, "engine_peers", "vectors", peer, net.onnx, net.pixels, PHOTOS, n, TEMP)
        yield Row("b", f"{net.name}", "photos/s", {
            "ours": lambda n=net, c=own: ours("vectors", n.graph, PHOTOS, c, TEMP),
            "original": lambda n=net, c=one: workers.ask("original", "tensorflow_peers", "original_vectors", n.graph, PHOTOS, c, TEMP + "/text"),
            "keras": lambda n=net, c=batched: workers.ask("keras", "tensorflow_peers", "keras_vectors", n.graph, PHOTOS, c, TEMP),
            "onnxruntime": engine("onnxruntime"), "openvino": engine("openvino"),
        }, network_floor(net), wanted[net.name] + [of_the_floor(85)],
            [f"{net.name}: {own} photos for us, {one} for the original, {batched} for the others"] + floor_notes(net),
            side=net.size, left_out=net.left_out)
        workers.close()


def step_rows(workers, networks, cores):
    """(c) 4,000 head steps"""
    seconds = {1001: 0.2, 2048: 0.35}
    for features in (1001, 2048):
        for classes in (5, 120):
            def peer(name, function, sample, features=features, classes=classes):
                return lambda: workers.ask(name, "tensorflow_peers", function, features, classes, STEPS, sample, TEMP)
            yield Row("c", f"D={features}, {classes} classes", "s", {
                "ours": lambda f=features, c=classes: ours("steps", f, c, STEPS, TEMP),
                "original": peer("original", "original_steps_row", 30), "keras": peer("keras", "keras_steps_row", 500),
            }, lambda m, f=features, c=classes: 4.0 * 100 * f * c * STEPS / m["peak1" if c == 5 else "peak"],  # threads share a step of many classes
                [at_most(seconds[features], "s"), times(700, "original")] if classes == 5 else [],
                ["extrapolated from 30 steps of the original's and 500 of Keras's"])


def int8_rows(workers, networks, cores):
    """(h) --precision=int8, how many times as fast as fp32: ourselves alone"""
    if not ours("machine", PHOTOS, 0.01, 0)["int8"]:
        print("(h) left out: this processor multiplies bytes no faster than floats")
        return
    for net in networks:
        def backbone(net=net):  # in turn: one burst of other work does not make the figure
            asked = ("backbone", net.graph, net.floats, 1, 1, 0.3)
            return statistics.median(ours(*asked, "int8") / ours(*asked) for _ in range(3))
        yield Row("h", f"backbone alone, {net.name}, 1 thread", "times fp32", {"ours": backbone}, lambda m: 0, [at_least(2, "times fp32")])

        def vectors(net=net):
            asked = ("vectors", net.graph, PHOTOS, PHOTO_COUNTS[net.name][0], TEMP)
            return ours(*asked, "int8") / ours(*asked)
        yield Row("h", f"photos to vectors, {net.name}", "times fp32", {"ours": vectors}, lambda m: 0)


class Phases:
    """A peer's retrain in a new process on a sample, once a round for both rows; what grows is scaled to 3,670 photos and
    4,000 steps. The warm figure is the same run without its photos."""

    def __init__(self, workers, peer, net, sample, steps):
        self.arguments, self.waiting = (workers, peer, net, sample, steps), {False: [], True: []}

    def seconds(self, warm):
        if not self.waiting[warm]:
            workers, peer, net, sample, steps = self.arguments
            start = time.perf_counter()
            phases = workers.ask(peer, "tensorflow_peers", f"retrain_{peer}", net.graph, PHOTOS, sample, steps, TEMP)
            workers.close()
            fixed = time.perf_counter() - start - phases["photos"] - phases["steps"] + phases["steps"] * STEPS / steps
            self.waiting[False].append(fixed + phases["photos"] * 3670 / sample)
            self.waiting[True].append(fixed)
        return self.waiting[warm].pop(0)


def our_retrain(folder, net, warm):
    if not warm:
        shutil.rmtree(TEMP + "/store", ignore_errors=True)
    return run_seconds([BUILD + "/retrain", "--quiet", f"--image_dir={folder}", f"--model_file={net.graph}",
                        f"--bottleneck_dir={TEMP}/store", f"--summaries_dir={TEMP}/events", f"--how_many_training_steps={STEPS}",
                        f"--output_graph={TEMP}/out.pb", f"--output_labels={TEMP}/out.txt"])


def retrain_rows(workers, networks, cores):
    """(d) whole retrain, 3,670 photos"""
    net, folder = networks[0], material.many_photos(3670)
    original, keras = Phases(workers, "original", net, 100, 30), Phases(workers, "keras", net, 500, 500)
    for warm in (False, True):
        def floor(m, warm=warm):
            return (0 if warm else 3670 / network_floor(net)(m)) + 4.0 * 100 * net.features * 5 * STEPS / m["peak1"]
        yield Row("d", f"{net.name}, {'warm' if warm else 'cold'} cache of vectors", "s", {
            "ours": lambda w=warm: our_retrain(folder, net, w),
            "original": lambda w=warm: original.seconds(w), "keras": lambda w=warm: keras.seconds(w),
        }, floor, [times(400 if warm else 60, "original")],
            ["extrapolated from 100 photos and 30 steps of the original's, 500 and 500 of Keras's"], side=net.size)
