#!/bin/sh
# `make screenshots`: the pictures in docs/, of the report and the lab on the demo's pictures and of the demo in a terminal. Needs
# chromium and what `make demo` needs; build/demo* is what the demo left.
# Usage: sh docs/screenshots.sh PROGRAMS-FOLDER
# SPDX-License-Identifier: Apache-2.0
set -eu
programs=$1
work=build/screenshots
rm -rf "$work"
mkdir -p "$work"

# picture PAGE PNG WIDTH HEIGHT
picture() {
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/chromium" \
    --virtual-time-budget=3000 --window-size="$3,$4" --screenshot="$2" "file://$PWD/$1" 2> "$work/chromium.log" ||
    { cat "$work/chromium.log" >&2; exit 3; }
}

sh apps/demo.sh "$programs" > "$work/demo.txt" 2>&1
cp build/demo_files/retrained_graph_report.html "$work/report.html"
picture "$work/report.html" docs/report.png 1000 1500

"$programs/lab" --image_dir=build/demo --architectures=weights/couplet_mobilenet_v1_0.25_128.pb --devices=cpu \
  --testing_percentage=20 --output_dir="$work/lab" > "$work/lab.txt" 2>&1
# The part with something to see: from the fourth question on.
sed 's|</head>|<style>header, h2:not([id]), #q1, #q2, #q3 { display: none } #q1 ~ p:has(~ #q4) { display: none }</style></head>|' \
  "$work/lab/lab_report.html" > "$work/lab.html"
picture "$work/lab.html" docs/lab.png 1000 2600

# The demo's answers, as a terminal shows them: without the lines of progress on standard error.
{
  printf '<!doctype html><meta charset="utf-8"><style>body{margin:0;background:#14171b;color:#e6e9ed;padding:20px 24px}'
  printf 'pre{font:14px/1.4 "DejaVu Sans Mono",monospace;margin:0;white-space:pre-wrap}</style><pre>'
  grep -v -E '^(INFO|WARNING):' "$work/demo.txt" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g'
  printf '</pre>'
} > "$work/terminal.html"
picture "$work/terminal.html" docs/terminal.png 1000 920
ls -l docs/*.png
