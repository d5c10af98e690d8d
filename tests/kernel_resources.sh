#!/bin/sh
# Registers, shared memory and spills of every kernel, from what ptxas said when it was built, beside
# tests/golden/kernel_resources.tsv. A kernel may not spill; other numbers may change, but not unnoticed.
# Usage: sh tests/kernel_resources.sh list|check FOLDER [GOLDEN]     FOLDER: where NAME.cu.ptxas lie (build/obj/kernels)
# `list` prints the table (make kernel-resources keeps it as golden); `check` compares. Ends with 77 where nothing was built,
# 1 for a spill or a difference. Another release of ptxas than the golden's is held to the spills alone.
# SPDX-License-Identifier: Apache-2.0
set -u
folder=${2:?} golden=${3:-tests/golden/kernel_resources.tsv}
ls "$folder"/*.cu.ptxas > /dev/null 2>&1 || exit 77
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

{
  cat "$folder"/toolkit
  # Some toolkits write no spill line for a function that has none; the line of registers comes last.
  for file in "$folder"/*.cu.ptxas; do
    awk '/Compiling entry function/ { split($0, part, "\047"); name = part[2]; arch = part[4]; spill = 0 }
         /bytes spill stores/ { spill = $5 + $9 }
         /: Used [0-9]+ registers/ { match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
           smem = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0
           print name "\t" arch "\t" registers "\t" smem "\t" spill }' "$file"
  done | c++filt | sed 's/^void //; s/^couplet:://; s/(anonymous namespace):://; s/([^\t]*)\t/\t/' | LC_ALL=C sort
} > "$work/now"

[ "$1" = list ] && exec cat "$work/now"
status=0
awk -F '\t' 'NF == 5 && $5 != 0 { print "spills " $5 " bytes on " $2 ": " $1; bad = 1 } END { exit bad }' "$work/now" || status=1
kernels=$(awk -F '\t' 'NF == 5 { print $1 }' "$work/now" | sort -u | wc -l)
if [ "$(head -n 1 "$work/now")" != "$(head -n 1 "$golden")" ]; then
  echo "$kernels kernels looked at for spills only: built by $(head -n 1 "$work/now"), not by $(head -n 1 "$golden")"
  exit $status
fi
# Architectures that only one side has say nothing.
cut -f2 "$work/now" | grep sm_ | sort -u > "$work/archs"
tail -n +2 "$work/now" | grep -F -f "$work/archs" > "$work/a"
tail -n +2 "$golden" | grep -F -f "$work/archs" > "$work/b"
cut -f2 "$work/b" | sort -u > "$work/archs"
grep -F -f "$work/archs" "$work/a" > "$work/c"
if ! diff "$work/b" "$work/c" > "$work/diff"; then
  echo "registers and shared memory (kernel, arch, registers, shared bytes, spilled bytes) are not the golden's; see and run make kernel-resources:"
  cat "$work/diff"
  status=1
fi
echo "$kernels kernels' registers and shared memory looked at"
exit $status
