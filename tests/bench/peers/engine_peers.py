# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime and OpenVINO at their best settings, through the converted graph."""
import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import rates


@functools.lru_cache(maxsize=8)
def onnx_call(path, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


@functools.lru_cache(maxsize=8)
def openvino_call(path, threads, batch, hint="LATENCY", streams=1):
    """fp32 by name: with bf16 units OpenVINO would take those by itself."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    shape = model.inputs[0].partial_shape
    shape[0] = batch
    model.reshape(shape)
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint,
        "NUM_STREAMS": streams})
    return Requests(compiled)


class Requests:
    """A call from any thread; each thread has a request of its own."""

    def __init__(self, compiled):
        import threading

        self.compiled, self.local = compiled, threading.local()

    def __call__(self, pixels):
        if not hasattr(self.local, "request"):
            self.local.request = self.compiled.create_infer_request()
        self.local.request.infer([pixels], share_inputs=True, share_outputs=True)
        return self.local.request.get_output_tensor(0).data


def ways(peer, path, threads, batch):
    """{(name, callers): call}: one call on all threads, or a caller a thread each on its own."""
    if peer == "onnxruntime":
        found = {("one call on all threads", 1): onnx_call(path, threads)}
        if threads > 1:
            found[("a call a thread", threads)] = onnx_call(path, 1)
    else:
        found = {("one call on all threads", 1): openvino_call(path, threads, batch)}
        if threads > 1:
            found[("a stream a thread", threads)] = openvino_call(path, threads, batch, "THROUGHPUT", threads)
    return found


@functools.lru_cache(maxsize=64)
def best_way(peer, path, pixels, threads, batch):
    found = ways(peer, path, threads, batch)
    return rates.best(found, np.load(pixels), batch, lambda way: way[1]) if len(found) > 1 else next(iter(found))


def backbone(peer, path, pixels, threads, batch, seconds):
    way = best_way(peer, path, pixels, threads, batch)
    return rates.rate(ways(peer, path, threads, batch)[way], np.load(pixels), batch, seconds, way[1])


def vectors(peer, path, pixels, photos, count, temp):
    """tf.data decodes (the fastest decoder of the peers, and TensorFlow's own numbers); a photo a call, a caller a core."""
    import tensorflow_peers

    size = np.load(pixels, mmap_mode="r").shape[1]
    paths = tensorflow_peers.photos_in(photos, count)
    (_, callers), call = list(ways(peer, path, rates.CORES, 1).items())[-1]

    def run(chosen):
        data = tensorflow_peers.dataset(chosen, size, 1).as_numpy_iterator()
        with ThreadPoolExecutor(callers) as pool:
            results, waiting = [], []
            for photo in data:
                waiting.append(pool.submit(lambda x: call(x).copy(), photo))
                if len(waiting) > 4 * callers:
                    results.append(waiting.pop(0).result())
            return np.concatenate(results + [w.result() for w in waiting])

    run(paths[:8])
    start = time.perf_counter()
    np.save(os.path.join(temp, f"{peer}.npy"), run(paths))
    return len(paths) / (time.perf_counter() - start)
