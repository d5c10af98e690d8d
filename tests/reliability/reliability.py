#!/usr/bin/env python3
"""Counts of what was tried against Couplet: written by each make target, gathered into docs/reliability.md.

reliability.py count TOPIC --required=N --done=N --open=N --command=TEXT [--notes=TEXT]
    writes build/reliability/TOPIC.json, prints the count, and ends with 1 when it is too low or a finding is open.
reliability.py report
    puts the counts that lie in build/reliability into the table of docs/reliability.md. A topic that was not run
    here keeps its row. Ends with 1 when a topic has no row, a row's count is lower than it or TOPICS asks for, or a finding is open.

A file a topic, as C++ tests write it too (tests/support/reliability.h):
    {"topic": "kill-hooks", "required": 200, "done": 214, "open_findings": 0, "date": "2026-11-28",
     "commit": "72ef3bf", "command": "make check-faults", "notes": "one line"}
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
# All that is counted, and the least that will do: what is missing in the table is missing.
TOPICS = {"awkward-photos": 38, "changing-photos": 20, "clock": 3, "differential": 300, "divergence": 9, "failing-io": 400,
          "failing-memory": 2000, "failing-sqlite": 200, "failing-sqlite-full": 200, "failing-sqlite-memory": 200, "full-disk": 2,
          "full-disk-shim": 60, "fuzz": 12, "hostile-graphs": 35, "kill-hooks": 200, "kill-times": 200, "odd-files": 8, "paths": 9,
          "power-cuts": 500, "replaced-graph": 200, "signals": 200, "sizes": 3, "slow-disk": 1000, "soak": 30, "store-flips": 2000,
          "two-runs": 20}
HEAD = ["topic", "required", "done", "open findings", "date", "commit", "command", "notes"]
KEYS = [name.replace(" ", "_") for name in HEAD]


def good(row):
    required = max(int(row["required"]), TOPICS.get(row["topic"], 0))
    return int(row["done"]) >= required and int(row["open_findings"]) == 0


def say(row):
    print(f"{row['topic']}: {row['done']} of {row['required']} done, {row['open_findings']} findings open"
          f"{'' if good(row) else ': NOT ENOUGH'}")


def count(args):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    row = {"topic": args.topic, "required": args.required, "done": args.done, "open_findings": args.open,
           "date": datetime.date.today().isoformat(), "commit": commit.stdout.strip() or "unknown",
           "command": args.command, "notes": args.notes}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{args.topic}.json").write_text(json.dumps(row) + "\n")
    say(row)
    return 0 if good(row) else 1


def is_table(line):
    return line.startswith("|")


def report():
    lines = PAGE.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| topic |"))
    last = first
    while last < len(lines) and is_table(lines[last]):
        last += 1
    rows = {}
    for line in lines[first + 2:last]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0]] = dict(zip(KEYS, cells))
    for path in sorted(FOLDER.glob("*.json")):
        row = json.loads(path.read_text())
        rows[row["topic"]] = {key: str(row[key]).replace("|", "/").replace("\n", " ") for key in KEYS}
    table = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    table += ["| " + " | ".join(rows[topic][key] for key in KEYS) + " |" for topic in sorted(rows)]
    PAGE.write_text("\n".join(lines[:first] + table + lines[last:]) + "\n")
    for topic in sorted(rows):
        say(rows[topic])
    missing = [topic for topic in TOPICS if topic not in rows]
    for topic in missing:
        print(f"{topic}: NOT COUNTED")
    return 0 if not missing and all(good(row) for row in rows.values()) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("count")
    one.add_argument("topic", choices=TOPICS, metavar="TOPIC")
    for name in ("required", "done", "open"):
        one.add_argument(f"--{name}", type=int, required=True)
    one.add_argument("--command", required=True)
    one.add_argument("--notes", default="")
    commands.add_parser("report")
    args = parser.parse_args()
    return count(args) if args.what == "count" else report()


if __name__ == "__main__":
    sys.exit(main())
