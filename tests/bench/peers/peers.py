# SPDX-License-Identifier: Apache-2.0
"""make bench-peers: ourselves beside TensorFlow, Keras, ONNX Runtime and OpenVINO on this machine.

    make bench-peers                    every row
    make bench-peers ROWS=a,e ROUNDS=7  some; other rows of the same commit and day are kept from before
    make bench-peers KEEP=1             also into docs/measured: the table of cpu.md and peers.svg

Rounds are interleaved (A B B A), each begins with a calibration. build/peers has peers.json, peers.md and peers.svg.
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import time

import material
import program_rows
import report
import rows
from contestants import PEERS, PeerFailed, Workers
from material import PHOTOS, TEMP, ours

GROUPS = {"a": rows.backbone_rows, "b": rows.vector_rows, "c": rows.step_rows, "d": rows.retrain_rows, "e": program_rows.label_rows,
          "f": program_rows.thousand_rows, "g": program_rows.growth_rows, "h": rows.int8_rows}
MORE_ROUNDS = 3  # at most, in place of those in which something else ran


def stolen():
    with open("/proc/stat", encoding="ascii") as file:
        times = [int(x) for x in file.readline().split()[1:9]]
    return times[7], sum(times)


def measure(row, rounds):
    """Rounds of a row. A peer that fails is left out of what remains of it, and named; that we fail ends the run."""
    figures, machines, failed = {name: [] for name in row.round}, [], dict(row.left_out)

    def ask(name):
        if name in failed:
            return
        try:
            figures[name].append(row.round[name]())
        except PeerFailed as why:
            if name == "ours":
                raise SystemExit(f"({row.group}) {row.name}: {why}") from why
            failed[name] = str(why)
            print(f"({row.group}) {row.name}: {PEERS[name]} failed: {why}", flush=True)

    if row.warm_up:
        for name in row.round:
            if name != "ours":
                ask(name)
        figures = {name: [] for name in row.round}
    wanted = min(rounds, row.most_rounds)
    for i in range(wanted + MORE_ROUNDS):
        if i >= wanted and report.quiet_rounds(machines, wanted)[1]:
            break
        machine, before = ours("machine", PHOTOS, 0.1, row.side), stolen()
        machine["load"] = os.getloadavg()[0]
        for name in (list(row.round) if i % 2 == 0 else reversed(row.round)):
            ask(name)
        after = stolen()
        machine["steal"] = (after[0] - before[0]) / max(1, after[1] - before[1])
        machines.append(machine)
    return report.summary(row, {name: found for name, found in figures.items() if name not in failed}, machines, failed)


def facts(commit, measured):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = [line.split(":")[1].strip() for line in file if line.startswith(("model name", "cpu family", "model\t"))]
    machines = [machine for row in measured for machine in row["machine"]]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow_cpu", "keras", "onnxruntime", "openvino")]
    medians = {key: statistics.median(m[key] for m in machines) for key in ("peak1", "peak", "load", "steal")}
    medians["decode"] = ours("machine", PHOTOS, 0.1, 0)["decode"] if all(row["side"] for row in measured) else statistics.median(
        machine["decode"] for row in measured if not row["side"] for machine in row["machine"])
    return {"date": datetime.date.today().isoformat(), "commit": commit, "threads": machines[0]["threads"],
            "cpu": f"{cpu[2]} (family {cpu[0]} model {cpu[1]})" if len(cpu) > 2 else platform.machine(),
            "versions": ", ".join([machines[0]["backend"], *versions]), **medians, "rows": measured}


def earlier(path, commit):
    try:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
    except FileNotFoundError:
        return []
    return run["rows"] if (run["commit"], run["date"]) == (commit, datetime.date.today().isoformat()) else []


def between_marks(path, text):
    begin, end = "<!-- bench-peers -->\n", "<!-- end of bench-peers -->\n"
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + text + end + rest.split(end)[1])


def keep(run):
    """The table between the marks of docs/measured/cpu.md, the picture beside it, and in the README with the main figures."""
    between_marks("docs/measured/cpu.md", report.markdown(run))
    if os.path.exists(f"{TEMP}/peers.svg"):
        shutil.copy(f"{TEMP}/peers.svg", "docs/measured/peers.svg")
        between_marks("README.md", f"{report.sentence(run)}\n![How many times as fast as each of them, {run['date']}](docs/measured/peers.svg)\n")


def write(run):
    """After every group: a run that is ended early leaves what it has."""
    with open(f"{TEMP}/peers.json", "w", encoding="utf-8") as file:
        json.dump(run, file, indent=1)
    with open(f"{TEMP}/peers.md", "w", encoding="utf-8") as file:
        file.write(report.markdown(run))
    report.picture(run, f"{TEMP}/peers.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(GROUPS), help="of a to h")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--keep", action="store_true", help="write docs/measured, too")
    options = parser.parse_args()
    chosen = options.rows.split(",")
    if not set(chosen) <= set(GROUPS):
        raise SystemExit(f"rows: {','.join(GROUPS)}")
    if not os.path.isdir(PHOTOS):
        raise SystemExit(f"{PHOTOS}: not there; set COUPLET_DATA to the folder with models and data")
    os.makedirs(TEMP, exist_ok=True)
    networks = [material.Network(name) for name in ("0.25_128", "0.50_224", "1.0_224", "Inception v3")]
    for network in networks:
        network.prepare()
    cores, workers = len(os.sched_getaffinity(0)), Workers()
    measured = [row | {"earlier": True} for row in earlier(f"{TEMP}/peers.json", options.commit) if row["group"] not in chosen]
    for group in chosen:
        begun = time.monotonic()
        for row in GROUPS[group](workers, networks, cores):
            started = time.monotonic()
            measured.append(measure(row, options.rounds))
            print(report.line(measured[-1]) + f" [{time.monotonic() - started:.0f} s]", flush=True)
        workers.close()
        print(f"({group}) took {time.monotonic() - begun:.0f} s", flush=True)
        run = facts(options.commit, sorted(measured, key=lambda row: row["group"]))
        write(run)
    print(report.markdown(run))
    if options.keep:
        keep(run)


if __name__ == "__main__":
    main()
