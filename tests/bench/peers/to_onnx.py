# SPDX-License-Identifier: Apache-2.0
"""A frozen MobileNet v1 or Inception v3 -> ONNX: NCHW inside, NHWC pixels at the door, batch norm folded into weights."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import graphs


def same_pads(size, kernel, stride):
    """TensorFlow's SAME: what is odd goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Converter:
    def __init__(self, graph_def):
        self.source, self.output, self.size = graphs.ends(graph_def)
        self.constants, self.nodes = graphs.evaluated(graph_def, self.source, self.output)
        self.readers = {}
        for node in self.nodes:
            for name in self.inputs(node):
                self.readers.setdefault(name, []).append(node)
        self.made, self.weights = [], {}
        self.names = {self.source: "nchw"}     # TensorFlow's name -> ours
        self.sizes = {self.source: self.size}  # pixels a side of each

    @staticmethod
    def inputs(node):
        return [i.split(":")[0] for i in node.input if not i.startswith("^")]

    def make(self, op, inputs, output, **attributes):
        self.made.append(helper.make_node(op, inputs, [output], name=output, **attributes))

    def constant(self, name, value):
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        return name

    def windows(self, node, kernel):
        strides = list(node.attr["strides"].list.i)[1:3]
        size = self.sizes[self.inputs(node)[0]]
        if node.attr["padding"].s == b"SAME":
            pads = [same_pads(size, k, s) for k, s in zip(kernel, strides)]
        else:
            pads = [(0, 0), (0, 0)]
        out = (size + sum(pads[0]) - kernel[0]) // strides[0] + 1
        return strides, [pads[0][0], pads[1][0], pads[0][1], pads[1][1]], out

    def folded(self, node):
        """(scale, offset, last node) of the constant channel-wise nodes that follow a convolution."""
        scale, offset, last = np.float64(1), np.float64(0), node
        while len(self.readers.get(last.name, [])) == 1:
            after = self.readers[last.name][0]
            values = [np.asarray(self.constants[i], np.float64) for i in self.inputs(after) if i in self.constants]
            if after.op in ("Add", "AddV2", "BiasAdd"):
                offset = offset + values[0]
            elif after.op == "Mul":
                scale, offset = scale * values[0], offset * values[0]
            elif after.op == "BatchNormWithGlobalNormalization":
                mean, variance, beta, gamma = values
                factor = 1 / np.sqrt(variance + after.attr["variance_epsilon"].f)
                if after.attr["scale_after_normalization"].b:
                    factor = factor * gamma
                scale, offset = scale * factor, (offset - mean) * factor + beta
            elif after.op not in ("CheckNumerics", "Identity"):
                break
            last = after
        return scale, offset, last

    def convolution(self, node):
        data, weights_name = self.inputs(node)
        weights = np.asarray(self.constants[weights_name], np.float64)  # [h, w, in, out or multiplier]
        depthwise = node.op == "DepthwiseConv2dNative"
        if depthwise:
            weights = weights.reshape(*weights.shape[:2], 1, -1)
        scale, offset, last = self.folded(node)
        weights, bias = weights * scale, np.broadcast_to(offset, weights.shape[3:])
        strides, pads, out = self.windows(node, weights.shape[:2])
        inputs = [self.names[data], self.constant(node.name + "/w", weights.transpose(3, 2, 0, 1)),
                  self.constant(node.name + "/b", bias)]
        self.make("Conv", inputs, last.name, kernel_shape=weights.shape[:2], strides=strides, pads=pads,
                  group=weights.shape[3] if depthwise else 1)
        self.names[last.name], self.sizes[last.name] = last.name, out

    def pool(self, node):
        kernel = list(node.attr["ksize"].list.i)[1:3]
        strides, pads, out = self.windows(node, kernel)
        extra = {"count_include_pad": 0} if node.op == "AvgPool" else {}
        self.make("AveragePool" if node.op == "AvgPool" else "MaxPool", [self.names[self.inputs(node)[0]]], node.name,
                  kernel_shape=kernel, strides=strides, pads=pads, **extra)
        self.names[node.name], self.sizes[node.name] = node.name, out

    def simple(self, node):
        data = [i for i in self.inputs(node) if i not in self.constants]
        if node.op in ("CheckNumerics", "Identity", "Squeeze"):  # the one Squeeze is the output; Flatten follows
            self.names[node.name] = self.names[data[0]]
        elif node.op == "Relu6":
            self.make("Clip", [self.names[data[0]], self.constant("zero", 0), self.constant("six", 6)], node.name)
        elif node.op == "Relu":
            self.make("Relu", [self.names[data[0]]], node.name)
        elif node.op in ("Concat", "ConcatV2"):
            self.make("Concat", [self.names[i] for i in data], node.name, axis=1)
        else:
            raise SystemExit(f"to_onnx: {node.name}: no rule for {node.op}")
        self.names.setdefault(node.name, node.name)
        self.sizes[node.name] = self.sizes[data[0]]

    def convert(self):
        self.make("Transpose", ["pixels"], "nchw", perm=[0, 3, 1, 2])
        for node in self.nodes:
            if node.name in self.names:
                continue  # folded into the convolution before it
            if node.op in ("Conv2D", "DepthwiseConv2dNative"):
                self.convolution(node)
                self.skip(node)
            elif node.op in ("AvgPool", "MaxPool"):
                self.pool(node)
            else:
                self.simple(node)
        self.make("Flatten", [self.names[self.output]], "vectors")
        side = self.size
        graph = helper.make_graph(
            self.made, "backbone", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", side, side, 3])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", None])], list(self.weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def skip(self, node):
        """The nodes that folded() took have no output of their own; they only must not be made again."""
        last = self.folded(node)[2]
        while node is not last:
            node = self.readers[node.name][0]
            self.names.setdefault(node.name, last.name)


def convert(graph_path, onnx_path):
    onnx.save(Converter(graphs.load_graph_def(graph_path)).convert(), onnx_path)
