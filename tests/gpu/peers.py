"""What PyTorch does on the same GPU: backbones, the training loop, and the GPU's ceilings, for make gpu-check.

The networks are timm's mobilenetv1_100 and inception_v3: the same architectures up to padding, so speeds may be compared
and values may not. Rates are photos a second from pixels on the device, medians of rounds of CUDA-graph replays, and with
--compile of torch.compile, which takes a minute a network and precision; random inputs.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import statistics
import time

import torch


def milliseconds(work, rounds=7, seconds=0.2):
    """Medians of `rounds` rounds of at least `seconds`: ms a call."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    times = max(1, int(seconds / max(time.perf_counter() - start, 1e-6)))
    results = []
    for _ in range(rounds):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(times):
            work()
        end.record()
        end.synchronize()
        results.append(begin.elapsed_time(end) / times)
    return statistics.median(results)


def replayed(call):
    """`call` as a CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def set_tf32(on):
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


def ceilings():
    rows = []
    source = torch.rand(1 << 29, device="cuda")
    target = torch.empty_like(source)
    ms = milliseconds(lambda: target.copy_(source))
    rows.append(("copy on the device, bytes read and written", 2 * source.numel() * 4 / ms / 1e6, "GB/s"))
    for name, dtype, tf32 in (("fp32", torch.float32, False), ("tf32", torch.float32, True), ("fp16", torch.float16, False)):
        set_tf32(tf32)
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        ms = milliseconds(lambda: torch.mm(a, b))
        rows.append((f"matrix product 8192, {name}", 2 * 8192**3 / ms / 1e9, "TFLOP/s"))
    return rows


def backbones(compile_too):
    import timm

    rows = []
    for name, size in (("mobilenetv1_100", 224), ("inception_v3", 299)):
        for precision, dtype, tf32 in (("fp32", torch.float32, False), ("tf32", torch.float32, True), ("fp16", torch.float16, False)):
            set_tf32(tf32)
            model = timm.create_model(name, pretrained=False, num_classes=0).eval().cuda().to(dtype)
            model = model.to(memory_format=torch.channels_last)
            for batch in (1, 32, 256):
                pixels = torch.rand(batch, 3, size, size, device="cuda", dtype=dtype).to(memory_format=torch.channels_last)
                for way, net in (("graph", model), ("compile", None)):
                    try:
                        if net is None:
                            if not compile_too or batch != 256:
                                continue
                            net = torch.compile(model)
                        with torch.inference_mode():
                            ms = milliseconds(replayed(lambda: net(pixels)))
                        rows.append((f"torch {way} {name}, {precision}, batch {batch}", 1e3 * batch / ms, "photos/s"))
                    except Exception as error:  # a peer that cannot run is a line, not a failure of ours
                        print(f"torch {way} {name}, {precision}, batch {batch}: {type(error).__name__}")
    return rows


def training():
    rows = []
    set_tf32(False)
    for features, classes in ((1001, 5), (2048, 5), (1001, 120), (2048, 120)):
        vectors = torch.rand(3000, features, device="cuda")
        labels = torch.randint(classes, (3000,), device="cuda")
        layer = torch.nn.Linear(features, classes).cuda()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)

        def steps():
            for _ in range(4000):
                batch = torch.randint(3000, (100,), device="cuda")
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(layer(vectors[batch]), labels[batch]).backward()
                optimizer.step()

        start = time.perf_counter()
        steps()
        torch.cuda.synchronize()
        rows.append((f"torch 4000 steps, D={features} C={classes}", 1e3 * (time.perf_counter() - start), "ms"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="figures for programs")
    parser.add_argument("--compile", action="store_true", help="with torch.compile, too")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}")
    rows = []
    for part in (ceilings, lambda: backbones(options.compile), training):
        for row in part():
            rows.append(row)
            print("%-58s %9.4g %s" % row, flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([{"name": n, "value": v, "unit": u} for n, v, u in rows], file, indent=1)


if __name__ == "__main__":
    main()
