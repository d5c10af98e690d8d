# SPDX-License-Identifier: Apache-2.0
"""Rounds -> medians, ratios and what can be said of them; a table as markdown, a picture."""
import statistics

from contestants import PEERS
from targets import judge

TITLES = {"a": "backbone alone", "b": "photos to vectors", "c": "4,000 steps", "d": "whole retrain", "e": "label_image, one photo",
          "f": "label_image, 1,000 photos", "g": "growth", "h": "--precision=int8"}


def quiet_rounds(machines, least):
    """The rounds in which nothing else ran: calibration within 3 % of the best, less than 2 % of time stolen, a load that our own
    threads explain. All rounds, and False, where fewer than `least` are: then nothing fine can be told."""
    best = max(m["peak"] for m in machines)
    kept = [i for i, m in enumerate(machines) if m["peak"] >= 0.97 * best and m["steal"] < 0.02 and m["load"] < 2 * m["threads"] + 1]
    return (kept, True) if len(kept) >= least else (list(range(len(machines))), False)


def summary(row, figures, machines, failed):
    kept, quiet = quiet_rounds(machines, min(3, row.most_rounds))
    ceilings = {key: statistics.median(machines[i][key] for i in kept) for key in ("peak1", "peak", "decode")}
    mine = [figures["ours"][i] for i in kept]
    median, floor = statistics.median(mine), row.floor(ceilings)
    result = {"group": row.group, "name": row.name, "unit": row.unit, "ours": median, "floor": floor, "side": row.side,
              "fraction_of_floor": 0 if not floor else median / floor if row.higher_is_better else floor / median, "quiet": quiet,
              "rounds_kept": len(kept), "rounds": figures, "machine": machines, "notes": row.notes, "failed": failed, "peers": {}}
    rounds = {}
    for peer in figures:
        if peer == "ours":
            continue
        theirs = [figures[peer][i] for i in kept]
        rounds[peer] = [m / t if row.higher_is_better else t / m for m, t in zip(mine, theirs)]
        ratios = sorted(rounds[peer])
        low, middle, high = (statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3)
        told = len(ratios) > 1 and (low > 1 or high < 1) and (high - low) / middle < 0.3
        result["peers"][peer] = {"median": statistics.median(theirs), "ratio": middle, "quartiles": [low, high], "told": told}
    result["targets"] = judge(row.targets, result, rounds)
    return result


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def cell(peer):
    if peer is None:
        return "-"
    times = f"{peer['ratio']:.2f}" if peer["ratio"] < 10 else number(peer["ratio"])
    low, high = peer["quartiles"]
    return f"{number(peer['median'])}: {times}x" + ("" if peer["told"] else f" (too noisy to tell: {low:.2f} .. {high:.2f})")


def judgement(target):
    return f"{target['text']}: {target['found']}" + {True: ", reached", False: ", **not reached**", None: ""}[target["reached"]]


def peer_cell(row, peer):
    return "failed" if peer in row["failed"] else cell(row["peers"].get(peer))


def title(row):
    return f"({row['group']}) {TITLES[row['group']]}, {row['name']}"


def floor_cell(row):
    return f"{100 * row['fraction_of_floor']:.0f} %" if row["floor"] else "-"


def line(row):
    """A row for the terminal, as soon as it is measured."""
    peers = "; ".join(f"{PEERS[peer]} {peer_cell(row, peer)}" for peer in PEERS if peer in row["peers"] or peer in row["failed"])
    wanted = "; ".join(judgement(target).replace("*", "") for target in row["targets"])
    return f"{title(row)}: {number(row['ours'])} {row['unit']}, {floor_cell(row)} of the floor; {peers}" + (f" -- {wanted}" if wanted else "")


def markdown(run):
    lines = [f"`make bench-peers` on {run['date']}, commit {run['commit']}: {run['cpu']}, {run['threads']} threads; {run['versions']}.",
             f"Calibration: {run['peak'] / 1e9:.0f} GFLOP/s of fused multiply-adds ({run['peak1'] / 1e9:.0f} on one core), "
             f"{run['decode']:,.0f} photos/s decoded; load {run['load']:.1f}, {100 * run['steal']:.1f} % stolen (medians of the rounds).", "",
             "A peer's cell is its figure and how many times as fast we are: the median of the rounds' ratios. Of the floor: what the",
             "machine's own ceilings, measured in the same rounds, leave as possible, against our figure.", "",
             "| work | unit | ours | of the floor | " + " | ".join(PEERS.values()) + " | wanted: found |", "|---" * (5 + len(PEERS)) + "|"]
    for row in run["rows"]:
        lines.append(f"| {title(row)}{'' if row['quiet'] else ' *'} | {row['unit']} | {number(row['ours'])} | {floor_cell(row)} | "
                     + " | ".join(peer_cell(row, peer) for peer in PEERS)
                     + " | " + ("<br>".join(judgement(target) for target in row["targets"]) or "-") + " |")
    judged = [target["reached"] for row in run["rows"] for target in row["targets"]]
    lines += ["", f"Of {len(judged)} figures wanted {judged.count(True)} are reached, {judged.count(False)} are not, "
              f"{judged.count(None)} could not be judged because a peer has no figure."]
    noisy = sum(not row["quiet"] for row in run["rows"])
    if noisy:
        lines += ["", f"\\* {noisy} of {len(run['rows'])} rows: fewer than three rounds in which the machine did nothing else (calibration within "
                  "3 % of the best, under 2 % of time stolen, load as our own threads make it), so all were kept: too noisy for fine differences."]
    before = sorted({row["group"] for row in run["rows"] if row.get("earlier")})
    if before:
        lines += ["", f"Rows of {', '.join(f'({group})' for group in before)} are of an earlier run of the same commit and day."]
    notes = {f"({row['group']}) {note}" for row in run["rows"] for note in row["notes"]}
    notes |= {f"({row['group']}) {row['name']}: {PEERS[peer]} failed: {why}" for row in run["rows"] for peer, why in row["failed"].items()}
    return "\n".join(lines + [""] + [f"- {note}." for note in sorted(notes)]) + "\n"


def sentence(run):
    """What everybody asks for, of that which was measured: for the README."""
    rows = {(row["group"], row["name"]): number(row["ours"]) for row in run["rows"]}
    asked = [("b", "0.25_128", "{} photos a second into bottlenecks with MobileNet 0.25_128"), ("b", "0.50_224", "{} with 0.50_224"),
             ("b", "Inception v3", "{} with Inception v3"), ("c", "D=1001, 5 classes", "4,000 training steps with event files in {} s"),
             ("e", "0.25_128, warm page cache", "label_image in {} ms from start to exit")]
    found = [text.format(rows[group, name]) for group, name, text in asked if (group, name) in rows]
    return f"{run['cpu']}, {run['threads']} threads: {', '.join(found)}.\n"


def picture(run, path):
    """Bars: how many times as fast we are, a group of bars a row; only rows that every reader knows."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "couplet"
    rows = [row for row in run["rows"] if row["peers"] and (row["group"] != "a" or "batch 1, " in row["name"] and " 1 thread" not in row["name"])]
    if not rows:
        return
    colours = dict(zip(PEERS, ("#d1703c", "#c9a227", "#4878a8", "#6aa56a")))
    figure, axes = plt.subplots(figsize=(8, 0.2 * sum(len(r["peers"]) + 1 for r in rows) + 1))
    at, ticks = 0, []
    for row in rows:
        first = at
        for peer in PEERS:
            if peer not in row["peers"]:
                continue
            ratio = row["peers"][peer]["ratio"]
            axes.barh(at, ratio, color=colours[peer], label=PEERS[peer], height=0.9)
            axes.text(ratio * 1.05, at, f"{ratio:.1f}x" if ratio < 100 else f"{ratio:,.0f}x", va="center", fontsize=7)
            at += 1
        ticks.append(((first + at - 1) / 2, f"{TITLES[row['group']]}\n{row['name']}"))
        at += 0.8
    axes.set_yticks([t for t, _ in ticks], [name for _, name in ticks], fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as", fontsize=8)
    handles = {text: handle for handle, text in zip(*axes.get_legend_handles_labels())}
    axes.legend(handles.values(), handles.keys(), fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
