# SPDX-License-Identifier: Apache-2.0
"""Reads and replaces the constants of a frozen GraphDef, without TensorFlow.

A protobuf message is a list of (field number, wire type, value). Nothing is interpreted but the few fields
named below, and the rest is written back as it was read, so the result differs from its template in the
values of the constants alone.
"""
import math

import numpy as np

GRAPH_NODE = 1
NODE_NAME, NODE_OP, NODE_ATTR = 1, 2, 5
MAP_KEY, MAP_VALUE = 1, 2
ATTR_TENSOR = 8
TENSOR_DTYPE, TENSOR_SHAPE, TENSOR_CONTENT, TENSOR_FLOAT = 1, 2, 4, 5
ATTR_SHAPE = 7
SHAPE_DIM, DIM_SIZE = 2, 1
DT_FLOAT, DT_QUINT8 = 1, 12


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def write_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def parse(data):
    """bytes -> [(field, wire type, int or bytes)]"""
    fields, at = [], 0
    while at < len(data):
        key, at = read_varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = read_varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                if wire != 2:
                    raise ValueError(f"wire type {wire}: not a GraphDef")
                size, at = read_varint(data, at)
            value, at = bytes(data[at:at + size]), at + size
        fields.append((field, wire, value))
    return fields


def serialize(fields):
    out = []
    for field, wire, value in fields:
        out.append(write_varint(field << 3 | wire))
        if wire == 0:
            out.append(write_varint(value))
        else:
            if wire == 2:
                out.append(write_varint(len(value)))
            out.append(value)
    return b"".join(out)


def first(fields, number, default=b""):
    return next((value for field, _, value in fields if field == number), default)


def attribute(node, name):
    """The AttrValue's fields of a node's attribute; none where it has no such attribute."""
    return next((parse(first(parse(entry), MAP_VALUE)) for field, _, entry in node
                 if field == NODE_ATTR and first(parse(entry), MAP_KEY) == name), [])


def node_tensor(node):
    """The TensorProto's fields of a Const node, None for other nodes."""
    return parse(first(attribute(node, b"value"), ATTR_TENSOR)) if first(node, NODE_OP) == b"Const" else None


def dimensions(shape):
    return [first(parse(dim), DIM_SIZE, 0) for field, _, dim in parse(shape) if field == SHAPE_DIM]


def tensor_array(tensor):
    shape = dimensions(first(tensor, TENSOR_SHAPE))
    content = first(tensor, TENSOR_CONTENT)
    if not content:
        content = b"".join(value for field, _, value in tensor if field == TENSOR_FLOAT)
    values = np.frombuffer(content, "u1" if first(tensor, TENSOR_DTYPE) == DT_QUINT8 else "<f4")
    count = math.prod(shape)
    return np.full(shape, values[0]) if values.size == 1 else values[:count].reshape(shape)


def read_nodes(path):
    with open(path, "rb") as file:
        return [parse(data) for field, _, data in parse(file.read()) if field == GRAPH_NODE]


def read_float_constants(path):
    """{node name: float32 array} of every float constant of the graph, and of every eight-bit one as its Dequantize
    (MIN_FIRST) gives it."""
    constants, quantized = {}, {}
    for node in read_nodes(path):
        tensor, name = node_tensor(node), first(node, NODE_NAME).decode()
        if tensor and first(tensor, TENSOR_DTYPE) == DT_FLOAT:
            constants[name] = tensor_array(tensor)
        elif tensor and first(tensor, TENSOR_DTYPE) == DT_QUINT8:
            quantized[name.removesuffix("_quantized_const")] = tensor_array(tensor)
    for name, steps in quantized.items():
        low, high = (float(constants.pop(f"{name}_quantized_{end}").item()) for end in ("min", "max"))
        scale = (high - low) / 255
        constants[name] = (round(low / scale) * scale + steps * scale).astype(np.float32)
    return constants


def input_side(path):
    """Height of the pictures that the graph's placeholder takes: [1, side, side, 3]."""
    placeholder = next(node for node in read_nodes(path) if first(node, NODE_OP) == b"Placeholder")
    return dimensions(first(attribute(placeholder, b"shape"), ATTR_SHAPE))[1]


def with_constant(node, array):
    """`node`, a Const of the same shape, with these values as tensor_content."""
    def tensor_with_values(tensor):
        kept = [f for f in tensor if f[0] not in (TENSOR_CONTENT, TENSOR_FLOAT)]
        return serialize(kept + [(TENSOR_CONTENT, 2, array.astype("<f4").tobytes())])

    out = []
    for field, wire, value in node:
        if field == NODE_ATTR and first(parse(value), MAP_KEY) == b"value":
            attr = [(f, w, tensor_with_values(parse(v)) if f == ATTR_TENSOR else v)
                    for f, w, v in parse(first(parse(value), MAP_VALUE))]
            value = serialize([(MAP_KEY, 2, b"value"), (MAP_VALUE, 2, serialize(attr))])
        out.append((field, wire, value))
    return out


def without_values(path):
    """The graph's bytes with every float constant emptied."""
    fields = []
    with open(path, "rb") as file:
        for field, wire, data in parse(file.read()):
            if field == GRAPH_NODE:
                node = parse(data)
                tensor = node_tensor(node)
                if tensor and first(tensor, TENSOR_DTYPE) == DT_FLOAT:
                    data = serialize(with_constant(node, np.empty(0)))
            fields.append((field, wire, data))
    return serialize(fields)


def same_form(path, template):
    """Whether the graph at `path` is `template` but for values of constants. Any other file is not."""
    try:
        return without_values(path) == without_values(template)
    except (ValueError, IndexError, TypeError):   # no GraphDef, or half of one
        return False


def write_with_constants(template, arrays, path):
    """The graph at `template` with the constants named in `arrays` replaced, to `path`. All must be there."""
    left = dict(arrays)
    out = []
    with open(template, "rb") as file:
        fields = parse(file.read())
    for field, wire, data in fields:
        if field == GRAPH_NODE:
            node = parse(data)
            name = first(node, NODE_NAME).decode()
            if name in left:
                old, new = tensor_array(node_tensor(node)), left.pop(name)
                if old.shape != new.shape or not np.isfinite(new).all():
                    raise ValueError(f"{name}: shape {new.shape} for {old.shape}, or values not finite")
                data = serialize(with_constant(node, new))
        out.append((field, wire, data))
    if left:
        raise ValueError(f"{template}: no such constants: {sorted(left)}")
    with open(path, "wb") as file:
        file.write(serialize(out))
