# SPDX-License-Identifier: Apache-2.0
"""Trains the default backbone, weights/couplet_mobilenet_v1_0.25_128.pb, from random weights.

A MobileNet v1 0.25_128 student learns to give the outputs of a teacher graph (Google's, same layout) on
unlabelled photos; MODEL_CARD.md says which, and README.md how good it came out. No weight of the teacher is copied:
the student starts from seeded random numbers, or with --start from an earlier student, and sees the teacher through
its layers' outputs alone. A teacher of another width or input size teaches what has the student's shape: the logits, and
the pooled features where they are as many.

Two stages:
 1. blockwise: each block (depthwise + pointwise) is fed with what the teacher feeds its own and learns to
    give what the teacher's gives. Thirteen shallow problems, each far better conditioned than the deep one.
 2. end to end: the student's own activations run through; the loss is on blocks, pooled features and logits.

Written are the weights' moving average, of the moment when it was nearest to the teacher on photos that are held
out; a graph that is there already is measured on them too, and kept where it is nearer (kept_graph.py). Photos that
look like one the graph is judged on are left out first; drawn pictures (drawn_pictures.py) are mixed among the others.
Interrupted or stopped, it goes on from its checkpoint; curve.tsv tells how it went. `make train-default` runs it: on a
GPU where PyTorch has one, else on the CPU.
"""
import argparse
import copy
import io
import math
import os
import re
import tarfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")   # beside other work: do not spin for a taken core

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from drawn_pictures import drawn_pictures  # noqa: E402
from graphdef_edit import input_side, read_float_constants, same_form, write_with_constants  # noqa: E402
from kept_graph import KeptGraph, refuse_start_beside_checkpoint  # noqa: E402
from near_duplicates import leave_out_near_duplicates  # noqa: E402

FORM = os.path.join(os.path.dirname(__file__), "couplet_mobilenet_v1_0.25_128.pb")   # the nodes of every graph written
SIZE = 128       # of the student's input
STORED = 160     # photos are kept squashed to this square, as retrain.py squashes them
WIDTHS = [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]   # after layer 0, blocks 1..13
STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
BN_EPSILON = 0.001   # as in the graph
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.set_default_device(DEVICE)
# Depthwise convolutions in float32: PyTorch's own kernels on a GPU want the channels first, oneDNN on a CPU last.
LAYOUT = torch.contiguous_format if DEVICE.type == "cuda" else torch.channels_last


class ConvBn(nn.Module):
    """Convolution, batch norm, ReLU6, padded as TensorFlow's SAME."""

    def __init__(self, name, ic, oc, kernel, stride, depthwise):
        super().__init__()
        self.name, self.depthwise = name, depthwise
        # SAME on an even size with stride 2 pads below and to the right only.
        self.pad = kernel == 3 and stride == 2
        self.conv = nn.Conv2d(ic, oc, kernel, stride, padding=1 if kernel == 3 and stride == 1 else 0,
                              groups=ic if depthwise else 1, bias=False)
        nn.init.normal_(self.conv.weight, std=math.sqrt(2 / (kernel * kernel * (1 if depthwise else ic))))
        self.bn = nn.BatchNorm2d(oc, eps=BN_EPSILON, momentum=0.01)

    def forward(self, x):
        return F.relu6(self.bn(self.conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)))

    def names(self):
        """Names of the graph's constants: weights, gamma, beta, mean, variance."""
        scope = f"MobilenetV1/{self.name}/"
        return [scope + ("depthwise_weights" if self.depthwise else "weights")] + [
            scope + "BatchNorm/" + n for n in ("gamma", "beta", "moving_mean", "moving_variance")]

    def tensors(self):
        return [self.conv.weight, self.bn.weight, self.bn.bias, self.bn.running_mean, self.bn.running_var]

    def weights_to_tf(self, w):
        return w.permute(2, 3, 0, 1) if self.depthwise else w.permute(2, 3, 1, 0)

    def weights_from_tf(self, w):
        return w.permute(2, 3, 0, 1) if self.depthwise else w.permute(3, 2, 0, 1)


class MobileNet(nn.Module):
    LOGITS = "MobilenetV1/Logits/Conv2d_1c_1x1/"

    def __init__(self, widths):
        super().__init__()
        blocks = [nn.Sequential(ConvBn("Conv2d_0", 3, widths[0], 3, STRIDES[0], False))]
        for i in range(1, len(widths)):
            ic, oc = widths[i - 1], widths[i]
            blocks.append(nn.Sequential(ConvBn(f"Conv2d_{i}_depthwise", ic, ic, 3, STRIDES[i], True),
                                        ConvBn(f"Conv2d_{i}_pointwise", ic, oc, 1, 1, False)))
        # Layer 0 alone is a very narrow target: it learns together with block 1.
        self.blocks = nn.ModuleList([nn.Sequential(blocks[0], blocks[1]), *blocks[2:]])
        self.fc = nn.Linear(widths[-1], 1001)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def layers(self):
        return [m for m in self.modules() if isinstance(m, ConvBn)]

    def forward(self, x):
        """Outputs of the 13 blocks, pooled features, logits."""
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        pooled = x.mean((2, 3))
        return outputs, pooled, self.fc(pooled)

    @classmethod
    def load_graph(cls, path):
        """The network of a MobileNet v1 of any width, as Google froze it or, as its eight-bit graphs are, with batch norm
        folded into a factor and an offset and constants' names that tell so: WHAT/read/_81__cf__81."""
        constants = {re.sub(r"(/read)?(/_\d+__cf__\d+)?$", "", k): torch.from_numpy(v.copy()).to(DEVICE)
                     for k, v in read_float_constants(path).items()}
        pointwise = [f"MobilenetV1/Conv2d_{i}_pointwise/weights" for i in range(1, 14)]
        model = cls([constants[name].shape[2] for name in pointwise] + [constants[pointwise[-1]].shape[3]])
        with torch.no_grad():
            for layer in model.layers():
                weights, gamma, beta, mean, variance = layer.names()
                if gamma in constants:
                    values = [constants[name] for name in (gamma, beta, mean, variance)]
                else:
                    folded = f"MobilenetV1/MobilenetV1/{layer.name}/BatchNorm/batchnorm/"
                    offset = constants[folded + "sub"]
                    one = torch.ones_like(offset)   # where the weights have the factor in them already
                    values = [constants.get(folded + "mul", one), offset, 0 * one, one - BN_EPSILON]
                for tensor, value in zip(layer.tensors(), [layer.weights_from_tf(constants[weights]), *values]):
                    tensor.copy_(value)
            model.fc.weight.copy_(constants[cls.LOGITS + "weights"][0, 0].T)
            model.fc.bias.copy_(constants[cls.LOGITS + "biases"])
        return model

    def save_graph(self, path):
        arrays = {}
        for layer in self.layers():
            for i, (name, tensor) in enumerate(zip(layer.names(), layer.tensors())):
                value = layer.weights_to_tf(tensor) if i == 0 else tensor
                arrays[name] = value.detach().contiguous().cpu().numpy()
        arrays[self.LOGITS + "weights"] = self.fc.weight.detach().T.contiguous().cpu().numpy()[None, None]
        arrays[self.LOGITS + "biases"] = self.fc.bias.detach().cpu().numpy()
        write_with_constants(FORM, arrays, path + ".part")
        os.replace(path + ".part", path)


def shuffled(count, seed):
    """A permutation, the same on every device."""
    return torch.randperm(count, generator=torch.Generator("cpu").manual_seed(seed), device="cpu").to(DEVICE)


def load_photos(tar_path, cache):
    """[n, 160, 160, 3] uint8, decoded once."""
    if not os.path.exists(cache):
        photos = []
        with tarfile.open(tar_path) as tar:
            for member in sorted((m for m in tar if m.name.endswith(".jpg")), key=lambda m: m.name):
                photo = Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")
                photos.append(np.asarray(photo.resize((STORED, STORED), Image.BILINEAR)))
        np.save(cache + ".part.npy", np.stack(photos))
        os.replace(cache + ".part.npy", cache)
    return torch.from_numpy(np.load(cache)).to(DEVICE)


def colour_matrices(saturation, angle):
    """[n, 3, 3]: rotates the colours about grey by an angle in radians and stretches them away from it. A red thing
    may become blue: the teacher says what to make of it."""
    grey = torch.full((3, 3), 1 / 3)
    turn = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    s = saturation[:, None, None]
    return grey + s * (torch.cos(angle)[:, None, None] * (torch.eye(3) - grey) + torch.sin(angle)[:, None, None] * turn)


class Views:
    """Batches of random views: crop of 8 to 100 % of the area, flip, brightness, contrast, colour, at times two
    photos mixed."""

    def __init__(self, photos, batch, seed):
        self.photos, self.batch = photos, batch
        self.rng = torch.Generator(DEVICE).manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.long)

    def uniform(self, *shape, low=0.0, high=1.0):
        return torch.rand(*shape, generator=self.rng) * (high - low) + low

    def next(self, mix):
        return self.next_at(mix, SIZE)[0]

    def next_at(self, mix, *sides):
        """The next batch, in each of these sizes: [n, 3, side, side], -1 to 1."""
        n = self.batch
        while len(self.order) < n:
            self.order = torch.cat([self.order, torch.randperm(len(self.photos), generator=self.rng)])
        index, self.order = self.order[:n], self.order[n:]
        photos = self.photos[index].permute(0, 3, 1, 2).float()
        area = self.uniform(n, low=0.08)
        ratio = torch.exp(self.uniform(n, low=-0.3, high=0.3))
        h, w = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
        cy, cx = (1 - h) * self.uniform(n, low=-1), (1 - w) * self.uniform(n, low=-1)
        flip = torch.where(self.uniform(n) < 0.5, -1.0, 1.0)
        zero = torch.zeros(n)
        theta = torch.stack([torch.stack([w * flip, zero, cx], 1), torch.stack([zero, h, cy], 1)], 1)
        angle = torch.where(self.uniform(n) < 0.5, self.uniform(n, low=-math.pi, high=math.pi), torch.zeros(n))
        matrices = colour_matrices(self.uniform(n, low=0.5, high=1.6), angle)
        gain = self.uniform(n, 1, 1, 1, low=0.7, high=1.3) * self.uniform(n, 3, 1, 1, low=0.9, high=1.1)
        light = self.uniform(n, 1, 1, 1, low=-0.25, high=0.25)
        other = self.uniform(1, 1, 1, 1, high=0.5) if mix else None

        def view(side):
            x = F.grid_sample(photos, F.affine_grid(theta, [n, 3, side, side], align_corners=False), mode="bilinear",
                              padding_mode="border", align_corners=False)
            x = x * (1 / 127.5) - 1
            x = (torch.bmm(matrices, x.reshape(n, 3, -1)).reshape(x.shape) * gain + light).clamp(-1, 1)
            if mix:
                x = torch.lerp(x, x.flip(0), other)
            return x.contiguous(memory_format=LAYOUT)

        return [view(side) for side in sides]


# Both: mean square errors of the 13 blocks and of what follows, in units of the target's own variance; 0 for what has
# another shape than the teacher's.

def missed(got, target, variance):
    return F.mse_loss(got, target) / variance if got.shape == target.shape else torch.zeros(())


def blockwise_losses(student, x, targets, variances):
    *outputs, pooled, logits = targets
    got = [block(i) for block, i in zip(student.blocks, [x, *outputs[:-1]])] + [pooled, student.fc(pooled)]
    return [missed(g, t, v) for g, t, v in zip(got, targets, variances)]


def end_to_end_losses(student, x, targets, variances):
    outputs, pooled, logits = student(x)
    return [missed(g, t, v) for g, t, v in zip([*outputs, pooled, logits], targets, variances)]


# --- the yardstick: a linear probe on photos that are never trained on ---

def legacy_resize(photo, side):
    """TensorFlow's ResizeBilinear of 2015 (no antialiasing, corners at 0), then (x - 127.5) / 127.5."""
    a = np.asarray(photo, np.float32)
    for axis in (0, 1):
        at = np.arange(side, dtype=np.float32) * (a.shape[axis] / side)
        low = at.astype(int)
        high = np.minimum(low + 1, a.shape[axis] - 1)
        t = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        a = a.take(low, axis) * (1 - t) + a.take(high, axis) * t
    return (a - 127.5) / 127.5


def load_labelled(folder, work, side):
    cache = f"{work}/probe_{side}.npz"
    if not os.path.exists(cache):
        photos, labels = [], []
        for label, name in enumerate(sorted(d for d in os.listdir(folder) if os.path.isdir(f"{folder}/{d}"))):
            for file in sorted(os.listdir(f"{folder}/{name}")):
                photos.append(legacy_resize(Image.open(f"{folder}/{name}/{file}").convert("RGB"), side))
                labels.append(label)
        np.savez(cache, photos=np.stack(photos).astype(np.float32), labels=np.array(labels))
    data = np.load(cache)
    return torch.from_numpy(data["photos"]).to(DEVICE).permute(0, 3, 1, 2), torch.from_numpy(data["labels"]).to(DEVICE)


def linear_probe(model, photos, labels, folds=5):
    """Accuracy of softmax regression on the 1001 logits, each fifth of the photos held out once."""
    model.eval()
    with torch.no_grad():
        x = torch.cat([model(p.contiguous(memory_format=LAYOUT))[2] for p in photos.split(100)])
    order = shuffled(len(x), 1)
    right = 0
    for fold in range(folds):
        held = torch.zeros(len(x), dtype=torch.bool)
        held[order[fold::folds]] = True
        mean, std = x[~held].mean(0), x[~held].std() + 1e-6
        head = nn.Linear(x.shape[1], int(labels.max()) + 1)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(head((x[~held] - mean) / std), labels[~held])
            loss = loss + 1e-3 * head.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        right += (head((x[held] - mean) / std).argmax(1) == labels[held]).sum().item()
    return right / len(x)


class Trainer:
    HELD_OUT = 256          # photos and drawn pictures, to choose the best weights by
    AVERAGE_OVER = 500      # steps
    # To measure batch norm's statistics on. On one mixed batch of 1,024 weights that miss 0.103 seemed to miss 0.121.
    CALIBRATE_VIEWS = 8192
    SOLVE_VIEWS = 32768     # to fit the last layer's 257 x 1001 numbers on

    def __init__(self, args):
        self.args = args
        self.checkpoint = f"{args.work}/checkpoint.pt"
        refuse_start_beside_checkpoint(args.start, self.checkpoint)
        drawn = torch.from_numpy(drawn_pictures(args.drawn, STORED, args.seed))   # forks: before a GPU is at work
        photos = torch.cat([load_photos(args.photos, f"{args.work}/photos.npy"), drawn.to(DEVICE)])
        torch.manual_seed(args.seed)
        if args.start and not same_form(args.start, FORM):
            raise SystemExit(f"--start={args.start}: is no MobileNet v1 0.25_128 as this script writes it")
        student = MobileNet.load_graph(args.start) if args.start else MobileNet(WIDTHS)
        self.student = student.to(memory_format=LAYOUT)
        try:
            self.teacher = MobileNet.load_graph(args.teacher).to(memory_format=LAYOUT).eval()
        except (KeyError, ValueError, IndexError) as error:   # no GraphDef, or none with these constants
            raise SystemExit(f"--teacher={args.teacher}: is no frozen MobileNet v1 ({error})") from None
        self.teacher_side = input_side(args.teacher)
        if args.blockwise and (self.teacher_side != SIZE or self.teacher.fc.in_features != WIDTHS[-1]):
            raise SystemExit(f"--teacher={args.teacher}: its blocks have other shapes than the student's, which cannot learn "
                             "them: add --blockwise=0")
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-3, weight_decay=1e-5)
        # Compiled, a step on a CPU takes less than half the time: batch norm and ReLU6 are fused.
        compiled = torch.compile if DEVICE.type == "cpu" else lambda function: function
        self.teacher_outputs = compiled(self.teacher)
        self.losses = {True: compiled(blockwise_losses), False: compiled(end_to_end_losses)}
        self.steps, self.seen, self.seconds = 0, 0, 0.0   # seen: views
        if any(torch.equal(a.conv.weight, b.conv.weight)
               for a, b in zip(self.student.layers(), self.teacher.layers())):
            raise SystemExit(f"--start={args.start}: has weights of the teacher, which a student must not copy")
        self.average = copy.deepcopy(self.student)
        if os.path.exists(self.checkpoint):
            state = torch.load(self.checkpoint, map_location=DEVICE)
            self.student.load_state_dict(state["student"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.steps, self.seen = state["steps"], state["seen"]
            self.seconds = state["seconds"]
            print(f"going on after {self.seen} views", flush=True)
        photos = leave_out_near_duplicates(photos, args.judged)
        if len(photos) <= self.HELD_OUT:
            raise SystemExit(f"{len(photos)} photos and drawn pictures, of which {self.HELD_OUT} are held out: none is left to train on; "
                             "give more with --photos or --drawn")
        photos = photos[shuffled(len(photos), args.seed)]
        held_out = Views(photos[:self.HELD_OUT], self.HELD_OUT, args.seed)
        self.held_out, seen_by_teacher = held_out.next_at(False, SIZE, self.teacher_side)
        # After a resume: other views, not the first ones again.
        self.views = Views(photos[self.HELD_OUT:], args.batch, args.seed + self.steps)
        with torch.no_grad():
            outputs, pooled, logits = self.teacher(seen_by_teacher)
        self.held_out_targets = [*outputs, pooled, logits]
        self.variances = [float(t.var()) for t in self.held_out_targets]
        self.kept = KeptGraph(args.output, self.measure_kept)

    def progress(self):
        """0 at the beginning, 1 at the end, over all runs on one checkpoint."""
        done = self.seen / self.args.views
        return max(done, self.seconds / (60 * self.args.minutes)) if self.args.minutes else done

    def is_blockwise(self):
        return self.progress() < self.args.blockwise

    def learning_rate(self):
        """Each stage: a short ramp, then a cosine to almost nothing."""
        share = self.args.blockwise
        begin, end, peak = (0, share, 4e-3) if self.is_blockwise() else (share, 1, 2e-3)
        peak *= math.sqrt(self.args.batch / 64)   # the peaks suit 64; the noise of a gradient falls with the root of its batch
        t = min(1.0, (self.progress() - begin) / (end - begin))
        return peak * min(1.0, t / 0.03 + 0.05) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * t)))

    def step(self):
        blockwise = self.is_blockwise()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.student.train()
        x, seen_by_teacher = self.views.next_at(not blockwise and self.steps % 2 == 0, SIZE, self.teacher_side)
        with torch.no_grad():
            outputs, pooled, logits = self.teacher_outputs(seen_by_teacher)
        losses = self.losses[blockwise](self.student, x, [*outputs, pooled, logits], self.variances)
        self.optimizer.zero_grad(set_to_none=True)
        # The inner blocks lead the way at first; in the end what counts are features and logits.
        weights = [1] * 13 + [0, 1] if blockwise else [0.3 - 0.25 * self.progress()] * 13 + [1, 2]
        sum(l * w for l, w in zip(losses, weights)).backward()
        self.optimizer.step()
        self.steps += 1
        self.seen += len(x)
        with torch.no_grad():
            keep = min(1 - 1 / self.AVERAGE_OVER, self.steps / (10 + self.steps))
            now = self.student.state_dict()
            names = [name for name, value in now.items() if value.is_floating_point()]
            average = self.average.state_dict()
            torch._foreach_lerp_([average[n] for n in names], [now[n] for n in names], 1 - keep)
        return blockwise, losses

    def save(self):
        torch.save({"student": self.student.state_dict(), "average": self.average.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "steps": self.steps, "seen": self.seen,
                    "seconds": self.seconds}, self.checkpoint + ".part")
        os.replace(self.checkpoint + ".part", self.checkpoint)

    def calibrate(self):
        """Batch norm's means and variances of the average, measured anew: the running ones belong to other weights,
        and lag (with them, a student that misses 0.22 of the variance seemed to miss 0.48)."""
        for layer in self.average.layers():
            layer.bn.reset_running_stats()
            layer.bn.momentum = None   # a plain mean over all batches
        self.average.train()
        for _ in range(math.ceil(self.CALIBRATE_VIEWS / self.args.batch)):
            x = self.views.next(mix=False)   # as the photos it will be used on, which nobody mixes
            with torch.no_grad():
                self.average(x)
        self.average.eval()

    def misses(self, model):
        """What the student misses of the teacher's variance, in features (None where they differ in number) and logits, on
        pictures that are not trained on; and its outputs there."""
        # In full float32, for verify_default.py: a GPU's convolutions are in TF32 unless told otherwise, 0.01 apart.
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            outputs, pooled, logits = model(self.held_out)
        features, of_logits = [float(F.mse_loss(g, t)) / v if g.shape == t.shape else None for g, t, v in
                               zip([pooled, logits], self.held_out_targets[-2:], self.variances[-2:])]
        return features, of_logits, outputs[-1], logits

    def write_outputs(self, block_13, logits):
        """For verify_default.py: what the graph at --output has to give."""
        path = f"{self.args.work}/outputs.npz"
        np.savez(path + ".part.npz", pixels=self.held_out[:8].permute(0, 2, 3, 1).cpu().numpy(),
                 block_13=block_13[:8].permute(0, 2, 3, 1).cpu().numpy(), logits=logits[:8].cpu().numpy())
        os.replace(path + ".part.npz", path)

    def measure_kept(self, path):
        """What the graph of an earlier run misses; None: it is another graph."""
        if not same_form(path, FORM):
            return None
        _, of_logits, block_13, logits = self.misses(MobileNet.load_graph(path).to(memory_format=LAYOUT).eval())
        self.write_outputs(block_13, logits)   # the run may have ended between the graph and its outputs
        return of_logits

    def measure(self):
        """A row of the curve; writes the graph if its logits are the nearest to the teacher's so far."""
        features, of_logits, block_13, logits = self.misses(self.average)
        row = {"minutes": f"{self.seconds / 60:.1f}", "views": self.seen,
               "missed_of_features": "-" if features is None else f"{features:.4f}",
               "missed_of_logits": f"{of_logits:.4f}", "probe": "-"}

        def write(path):
            self.average.save_graph(path)
            self.write_outputs(block_13, logits)

        self.kept.offer(of_logits, write)
        if self.args.probe:
            photos, labels = load_labelled(self.args.probe, self.args.work, SIZE)
            row["probe"] = f"{linear_probe(self.average, photos, labels):.4f}"
        print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        curve = f"{self.args.work}/curve.tsv"
        header = "" if os.path.exists(curve) else "\t".join(row) + "\n"
        with open(curve, "a") as file:
            file.write(header + "\t".join(map(str, row.values())) + "\n")

    def solve_last_layer(self):
        """The last layer of the average anew, as the least squares fit of the teacher's logits on the student's own
        features: descent is slow to get there, as many features go together."""
        width = WIDTHS[-1] + 1
        squares, products = torch.zeros(width, width, dtype=torch.double), torch.zeros(width, 1001, dtype=torch.double)
        for i in range(math.ceil(self.SOLVE_VIEWS / self.args.batch)):
            x, seen_by_teacher = self.views.next_at(i % 2 == 0, SIZE, self.teacher_side)
            with torch.no_grad():
                features = F.pad(self.average(x)[1], (0, 1), value=1).double()
                logits = self.teacher(seen_by_teacher)[2].double()
            squares += features.T @ features
            products += features.T @ logits
        ridge = 1e-5 * squares.diagonal().mean() * torch.eye(width, dtype=torch.double)
        fit = torch.linalg.solve(squares + ridge, products)
        with torch.no_grad():
            self.average.fc.weight.copy_(fit[:-1].T)
            self.average.fc.bias.copy_(fit[-1])

    def train(self):
        if self.args.probe:
            photos, labels = load_labelled(self.args.probe, self.args.work, self.teacher_side)
            print(f"teacher: linear probe {linear_probe(self.teacher, photos, labels):.1%}", flush=True)
        if self.steps == 0:
            self.average.eval()   # as it came, with the statistics it came with
            self.measure()
        last = saved = measured = shown = time.monotonic()
        while self.progress() < 1:
            blockwise, losses = self.step()
            now = time.monotonic()
            self.seconds, last = self.seconds + now - last, now
            if now - shown > 30:
                shown = now
                stage = "blockwise" if blockwise else "end to end"
                print(f"{self.seconds / 60:5.1f} min, {self.seen} views, {stage}: "
                      + " ".join(f"{float(x.detach()):.3f}" for x in losses), flush=True)
            if now - measured > 60 * self.args.measure_every:
                measured = now
                self.calibrate()
                self.measure()
            if now - saved > 120:
                saved = now
                self.save()
        self.save()   # before the last layer: a run that goes on trains all of it
        self.calibrate()
        self.measure()
        self.solve_last_layer()
        self.measure()
        print(f"{self.args.output}: misses {self.kept.missed:.4f} of the variance of its teacher's logits")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="../shared/data/distil/photos_160.tar", help="unlabelled photos")
    parser.add_argument("--teacher", default="../shared/models/mobilenet_v1_0.25_128/frozen_graph.pb",
                        help="frozen MobileNet v1, also an eight-bit one; of another shape than the student's: with --blockwise=0")
    parser.add_argument("--probe", default="../shared/data/flower_photos",
                        help="labelled folders, for a column of the curve only; empty: do not measure")
    parser.add_argument("--judged", default="build/judge/pictures",
                        help="the pictures that the graph is judged on, a folder or what near_duplicates.py made of it: "
                             "photos that look alike are left out")
    parser.add_argument("--drawn", type=int, default=1500, help="how many drawn pictures go among the photos")
    parser.add_argument("--start", default="", help="graph of an earlier student to start from; empty: random weights. Refused "
                                                    "where a checkpoint is there to go on from")
    parser.add_argument("--output", default="build/train-default/couplet_mobilenet_v1_0.25_128.pb",
                        help="the best graph so far; one that is there is measured and gives way to a better one alone")
    parser.add_argument("--work", default="build/train-default", help="checkpoint and decoded photos")
    parser.add_argument("--views", type=int, default=1_000_000,
                        help="how many random views to train on, over all runs on one checkpoint")
    parser.add_argument("--minutes", type=float, default=0, help="end, and let the learning rate fall, by then; 0: by --views")
    parser.add_argument("--measure_every", type=float, default=10, help="minutes between rows of the curve")
    parser.add_argument("--blockwise", type=float, default=0.35, help="share of them for the first stage")
    parser.add_argument("--batch", type=int, default=64, help="views a step; the learning rate goes with its root. 1024 on a GPU")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    try:
        Trainer(args).train()
    except OSError as error:   # a file that is not there, a full disk
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
