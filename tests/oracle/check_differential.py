# SPDX-License-Identifier: Apache-2.0
"""Generated graphs of supported ops with odd shapes, strides, pads and forms of constants: TensorFlow and us."""
import collections
import os
import random

import numpy as np

import ours
import tf_reference as ref
from tf_reference import tf

GRAPHS = 300
# Of the greatest number that TensorFlow gives; a chain of eight float32 layers stays far below.
TOLERANCE = 2e-5


class Builder:
    """A GraphDef, node by node, and the shape ([h, w, c], or [c]) of the last one."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.numbers = np.random.RandomState(seed)
        self.graph = tf.GraphDef()
        self.height, self.width = self.random.randint(1, 17), self.random.randint(1, 17)
        self.shape = [self.height, self.width, 3]
        node = self.node("input", "Placeholder", [])
        node.attr["dtype"].type = 1
        batch = self.random.choice([1, -1])
        for size in [batch] + self.shape:
            node.attr["shape"].shape.dim.add().size = size
        self.now = "input"

    def node(self, name, op, inputs):
        node = self.graph.node.add(name=name, op=op)
        node.input.extend(inputs)
        return node

    def add(self, op, inputs, shape, typed=True):
        name = f"{op.lower()}_{len(self.graph.node)}"
        node = self.node(name, op, inputs)
        if typed:
            node.attr["T"].type = 1
        self.now, self.shape = name, shape
        return node

    def constant(self, array, dtype=1):
        """One of the forms in which TensorFlow's tools write constants."""
        array = np.asarray(array)
        name = f"const_{len(self.graph.node)}"
        node = self.node(name, "Const", [])
        node.attr["dtype"].type = dtype
        tensor = node.attr["value"].tensor
        tensor.dtype = dtype
        for size in array.shape:
            tensor.tensor_shape.dim.add().size = size
        values = {1: tensor.float_val, 3: tensor.int_val, 9: tensor.int64_val}[dtype]
        numpy_type = {1: "<f4", 3: "<i4", 9: "<i8"}[dtype]
        if array.size and (array == array.flat[0]).all() and self.random.random() < 0.8:
            values.append(array.flat[0])
        elif self.random.random() < 0.5:
            tensor.tensor_content = array.astype(numpy_type).tobytes()
        else:
            values.extend(array.ravel().tolist())
        for _ in range(self.random.choice([0, 0, 0, 1, 2])):  # behind Identities, as frozen variables are
            read = f"{name}/read_{len(self.graph.node)}"
            node = self.node(read, "Identity", [name])
            node.attr["T"].type = dtype
            name = read
        return name

    def floats(self, *shape, low=-1.0, high=1.0):
        if self.random.random() < 0.15:
            return self.constant(np.full(shape, np.float32(self.random.uniform(low, high))))
        if self.random.random() < 0.1:
            return self.dequantized(shape, low, high)
        return self.constant(self.numbers.uniform(low, high, shape).astype(np.float32))

    def dequantized(self, shape, low, high):
        """Eight-bit weights, as quantize_graph leaves them; a range that is not even, and of one sign where low and high are."""
        name = f"quantized_{len(self.graph.node)}"
        node = self.node(name, "Const", [])
        node.attr["dtype"].type = 12
        tensor = node.attr["value"].tensor
        tensor.dtype = 12
        for size in shape:
            tensor.tensor_shape.dim.add().size = size
        tensor.tensor_content = self.numbers.randint(0, 256, shape).astype(np.uint8).tobytes()
        ends = [self.constant(np.float32(end)) for end in (0.75 * low, 1.25 * high)]
        name, inputs = f"dequantize_{len(self.graph.node)}", [name, *ends]
        node = self.node(name, "Dequantize", inputs)
        node.attr["T"].type = 12
        node.attr["mode"].s = b"MIN_FIRST"
        return name

    def window(self, node, attr, kh, kw, sh, sw, dh=1, dw=1):
        h, w, _ = self.shape
        reach_h, reach_w = (kh - 1) * dh + 1, (kw - 1) * dw + 1
        same = self.random.random() < 0.6 or reach_h > h or reach_w > w
        node.attr["padding"].s = b"SAME" if same else b"VALID"
        if same:
            return [-(-h // sh), -(-w // sw)]
        return [(h - reach_h) // sh + 1, (w - reach_w) // sw + 1]

    def ints(self, node, attr, values):
        node.attr[attr].list.i.extend(values)

    # ---- ops on maps ----

    def conv(self):
        h, w, c = self.shape
        kh, kw, oc = self.random.randint(1, 5), self.random.randint(1, 5), self.random.randint(1, 19)
        sh, sw = self.random.choice([(1, 1), (2, 2), (3, 3), (1, 2), (3, 1)])
        dh, dw = self.random.choice([(1, 1)] * 4 + [(2, 2), (1, 3)]) if sh == sw == 1 else (1, 1)
        explicit = self.random.random() < 0.15
        node = self.add("Conv2D", [self.now, self.floats(kh, kw, c, oc)], self.shape)
        self.ints(node, "strides", [1, sh, sw, 1])
        if (dh, dw) != (1, 1) or self.random.random() < 0.3:
            self.ints(node, "dilations", [1, dh, dw, 1])
        if explicit:
            top, bottom, left, right = (self.random.randint(0, 3) for _ in range(4))
            oh, ow = (h + top + bottom - (kh - 1) * dh - 1) // sh + 1, (w + left + right - (kw - 1) * dw - 1) // sw + 1
            if oh >= 1 and ow >= 1:
                node.attr["padding"].s = b"EXPLICIT"
                self.ints(node, "explicit_paddings", [0, 0, top, bottom, left, right, 0, 0])
                self.shape = [oh, ow, oc]
                return
        self.shape = self.window(node, "strides", kh, kw, sh, sw, dh, dw) + [oc]

    def depthwise(self):
        _, _, c = self.shape
        kh, kw, multiplier = self.random.randint(1, 5), self.random.randint(1, 5), self.random.choice([1, 1, 1, 2, 3])
        stride = self.random.choice([1, 1, 2, 3])  # TensorFlow's kernel wants equal strides
        node = self.add("DepthwiseConv2dNative", [self.now, self.floats(kh, kw, c, multiplier)], self.shape)
        self.ints(node, "strides", [1, stride, stride, 1])
        self.shape = self.window(node, "strides", kh, kw, stride, stride) + [c * multiplier]

    def pool(self):
        h, w, c = self.shape
        kh, kw = self.random.randint(1, 4), self.random.randint(1, 4)
        sh, sw = self.random.choice([(1, 1), (2, 2), (1, 2), (3, 2)])
        node = self.add(self.random.choice(["MaxPool", "AvgPool"]), [self.now], self.shape)
        self.ints(node, "ksize", [1, kh, kw, 1])
        self.ints(node, "strides", [1, sh, sw, 1])
        self.shape = self.window(node, "strides", kh, kw, sh, sw) + [c]

    def pad(self):
        h, w, c = self.shape
        pads = [self.random.randint(0, 3) for _ in range(4)]
        dtype = self.random.choice([3, 9])
        name = self.constant([[0, 0], pads[:2], pads[2:], [0, 0]], dtype)
        node = self.add("Pad", [self.now, name], [h + pads[0] + pads[1], w + pads[2] + pads[3], c])
        node.attr["Tpaddings"].type = dtype

    def arithmetic(self):
        c = self.shape[-1]
        form = self.random.choice([(c,), (), (1,)] + ([(1, 1, c)] if len(self.shape) == 3 else []))
        other, op = self.floats(*form), self.random.choice(["Add", "AddV2", "Sub", "Mul"])
        inputs = [self.now, other] if self.random.random() < 0.6 else [other, self.now]
        self.add(op, inputs, self.shape)

    def bias(self):
        self.add("BiasAdd", [self.now, self.floats(self.shape[-1])], self.shape)

    def activation(self):
        self.add(self.random.choice(["Relu", "Relu6"]), [self.now], self.shape)

    def batch_norm(self):
        c = self.shape[-1]
        inputs = [self.now, self.floats(c), self.floats(c), self.floats(c), self.floats(c, low=0.1, high=2.0)]
        op = self.random.choice(["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
        node = self.add(op, inputs, self.shape)
        if op != "FusedBatchNorm":
            node.attr["U"].type = 1
        node.attr["is_training"].b = False
        if self.random.random() < 0.7:
            node.attr["epsilon"].f = self.random.choice([1e-3, 1e-5, 0.1])

    def decomposed_norm(self):
        """Batch norm as frozen training graphs hold it, from constants only."""
        c = self.shape[-1]
        variance = self.floats(c, low=0.1, high=2.0)
        now, shape = self.now, self.shape
        self.add("Add", [variance, self.constant(np.float32(1e-3))], shape)
        self.add("Rsqrt", [self.now], shape)
        self.add("Mul", [self.now, self.floats(c)], shape)
        self.add("Mul", [now, self.now], shape)
        self.add("Add", [self.now, self.floats(c)], shape)

    def concat(self):
        h, w, c = self.shape
        left = self.now
        self.activation()
        parts = [left, self.now] + ([left] if self.random.random() < 0.3 else [])
        axis = self.random.choice([3, -1])
        if self.random.random() < 0.5:
            node = self.add("ConcatV2", parts + [self.constant(np.int32(axis), 3)], [h, w, c * len(parts)])
            node.attr["Tidx"].type = 3
        else:
            node = self.add("Concat", [self.constant(np.int32(3), 3)] + parts, [h, w, c * len(parts)])
        node.attr["N"].i = len(parts)

    def identity(self):
        if self.random.random() < 0.5:
            self.add("Identity", [self.now], self.shape)
        else:
            self.add("CheckNumerics", [self.now], self.shape).attr["message"].s = b"not finite"

    def flatten(self):
        h, w, c = self.shape
        kind = self.random.choice(["Mean", "Mean", "Reshape", "Squeeze"])
        if kind == "Squeeze" and (h, w) != (1, 1):
            kind = "Mean"
        if kind == "Mean":
            keep = self.random.random() < 0.3
            node = self.add("Mean", [self.now, self.constant([1, 2], 3)], [1, 1, c] if keep else [c])
            node.attr["Tidx"].type = 3
            node.attr["keep_dims"].b = keep
        elif kind == "Reshape":
            dims = self.random.choice([[-1, h * w * c], [1, h * w * c], [1, -1]])
            self.add("Reshape", [self.now, self.constant(dims, 3)], [h * w * c]).attr["Tshape"].type = 3
        else:
            self.ints(self.add("Squeeze", [self.now], [c]), "squeeze_dims", self.random.choice([[1, 2], [2, 1], [-3, -2]]))

    # ---- ops on vectors ----

    def matmul(self):
        transposed, oc = self.random.random() < 0.3, self.random.randint(1, 23)
        shape = (oc, self.shape[0]) if transposed else (self.shape[0], oc)
        node = self.add("MatMul", [self.now, self.floats(*shape)], [oc])
        node.attr["transpose_a"].b = False
        node.attr["transpose_b"].b = transposed

    def softmax(self):
        self.add("Softmax", [self.now], self.shape)

    def build(self):
        maps = [self.conv, self.conv, self.depthwise, self.pool, self.pad, self.arithmetic, self.bias, self.activation,
                self.batch_norm, self.decomposed_norm, self.concat, self.identity, self.flatten]
        vectors = [self.matmul, self.matmul, self.arithmetic, self.bias, self.activation, self.softmax, self.identity]
        for _ in range(self.random.randint(1, 8)):
            self.random.choice(maps if len(self.shape) == 3 else vectors)()
        return self.graph


def tensorflow(graph_def, output, pixels):
    """[n, ...], or TensorFlow's reason why not."""
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
        with ref.session(graph) as session:
            return session.run(output + ":0", {"input:0": pixels})
    except (tf.errors.OpError, ValueError) as error:
        return str(error).split("\n")[0]


def apart(got, want):
    if got.size != want.size:
        return float("inf")
    return float(np.abs(got.ravel() - want.ravel()).max() / max(np.abs(want).max(), 1.0))


def check(report, shared):
    """300 generated graphs: ours equals TensorFlow's numbers or refuses with a reason."""
    folder = os.path.abspath(f"{ours.BUILD}/oracle_graphs")
    os.makedirs(folder, exist_ok=True)
    outcomes, ops, furthest = collections.Counter(), collections.Counter(), 0.0
    for seed in range(GRAPHS):
        builder = Builder(seed)
        graph = builder.build()
        path = f"{folder}/{seed}.pb"
        pixels = np.random.RandomState(seed).uniform(-1, 1, (1, builder.height, builder.width, 3)).astype("<f4")
        with open(path, "wb") as file:
            file.write(graph.SerializeToString())
        pixels.tofile(f"{path}.floats")
        want = tensorflow(graph, builder.now, pixels)
        got = ours.records(ours.run("tests/dump", "floats", path, builder.now, builder.height, builder.width, f"{path}.floats"))
        chain = " ".join(node.op for node in graph.node if node.op not in ("Const", "Placeholder"))
        if got[0][0].startswith("!"):
            outcomes["refused by both" if isinstance(want, str) else "refused by us alone"] += 1
            report.note(f"graph {seed} refused: {got[0][0][1:].split(': ', 1)[-1]}"
                        f"{'; TensorFlow: ' + want[:80] if isinstance(want, str) else ''}")
        elif isinstance(want, str):
            outcomes["computed by us alone"] += 1
            report.fail(f"graph {seed} ({chain}): TensorFlow refuses it: {want[:120]}")
        else:
            # As found, and after all rewrites.
            distance = max(apart(value, want) for _, value in got)
            furthest = max(furthest, distance)
            if distance <= TOLERANCE and len(got) == 2:
                outcomes["equal"] += 1
                ops.update(node.op for node in graph.node)
            else:
                outcomes["different"] += 1
                report.fail(f"graph {seed} ({chain}): {distance:.3g} apart")
    report.note(f"{dict(outcomes)}; furthest {furthest:.2g}; ops in equal graphs: {dict(ops.most_common())}")
    report.expect(f"{outcomes['equal']} of {GRAPHS} graphs equal, at least nine in ten", outcomes["equal"] >= GRAPHS * 9 // 10)
    done = outcomes["equal"] + outcomes["refused by both"] + outcomes["refused by us alone"]
    report.count("differential", GRAPHS, done, GRAPHS - done, "ORACLE=differential",
                 f"generated graphs against TensorFlow: {', '.join(f'{n} {what}' for what, n in outcomes.items())}; furthest {furthest:.2g} of the greatest number")
