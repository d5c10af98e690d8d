# SPDX-License-Identifier: Apache-2.0
"""Draws a training curve, curve.tsv as train_default.py writes it, as curve.svg beside it.

    python3 weights/draw_curve.py weights/curve.tsv

A column `run` (of several curves put one after the other by hand, views counted through) parts them: lines end where a
run does, since each run holds out other photos.
"""
import csv
import itertools
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 360, 60, 300, 30
LINES = [("missed_of_features", "#8a6d3b", "of the features' variance missed"),
         ("missed_of_logits", "#b03030", "of the logits' variance missed"),
         ("probe", "#2b6ca3", "linear probe on flowers")]


def main():
    path = sys.argv[1]
    with open(path) as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    most = max(int(row["views"]) for row in rows) or 1

    def at(row, column):
        x = LEFT + (WIDTH - LEFT - 20) * int(row["views"]) / most
        return f"{x:.1f},{BOTTOM - (BOTTOM - TOP) * min(1, float(row[column])):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for tenth in range(0, 11, 2):
        y = BOTTOM - (BOTTOM - TOP) * tenth / 10
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - 20}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{tenth / 10:.1f}</text>')
    parts.append(f'<text x="{LEFT}" y="{BOTTOM + 20}">0</text>'
                 f'<text x="{WIDTH - 20}" y="{BOTTOM + 20}" text-anchor="end">{most:,} views</text>')
    runs = [(run, list(of_run)) for run, of_run in itertools.groupby(rows, lambda row: row.get("run", ""))]
    for run, of_run in runs:
        if run:
            x = at(of_run[0], "missed_of_logits").split(",")[0]
            parts.append(f'<path d="M{x} {TOP}V{BOTTOM}" stroke="#999" stroke-dasharray="3 3"/><text x="{x}" y="{TOP - 10}" '
                         f'text-anchor="{"start" if float(x) < 0.7 * WIDTH else "end"}" font-size="11">run {run}</text>')
    for i, (column, colour, title) in enumerate(LINES):
        for _, of_run in runs:
            measured = [row for row in of_run if row[column] != "-"]
            points = " ".join(at(row, column) for row in measured)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            for row in measured:
                x, y = at(row, column).split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 195 * i}" y="{HEIGHT - 14}" fill="{colour}" font-size="11">{title}</text>')
    with open(path.rsplit(".", 1)[0] + ".svg", "w") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
