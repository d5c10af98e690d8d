#!/bin/sh
# Instructions that each stage of our own code takes (tests/bench/instructions.cc), counted by valgrind's callgrind, beside the
# golden file of the same compiler and libraries. A machine may be as busy as it likes; a slowdown of code shows all the same.
# Usage: sh tests/check_instructions.sh check|keep PROGRAM [FOLDER]     FOLDER: of golden files (tests/golden/instructions)
#        sh tests/check_instructions.sh compare GOLDEN COUNTS           two tables, "instructions TAB stage" a line
# Ends with 0; 1 for a stage that takes over 3 % more or less than the golden, or that only one side has; 77 where there is no
# AVX2, or no golden file of these versions (make keep-instructions makes one).
# SPDX-License-Identifier: Apache-2.0
set -u

# Fewer are a finding as well: the golden no longer holds what was gained.
compare() {
  awk -F '\t' -v tolerance=0.03 '
    /^#/ { next }
    NR == FNR { golden[$2] = $1; next }
    !($2 in golden) { printf "%s: %d instructions; the golden file does not have it\n", $2, $1; bad = 1; next }
    { seen[$2] = 1; ratio = $1 / golden[$2]; stages++
      if (ratio > 1 + tolerance || ratio < 1 - tolerance) {
        printf "%s: %d instructions, %.3f times the golden %d\n", $2, $1, ratio, golden[$2]; bad = 1 } }
    END { for (stage in golden) if (!(stage in seen)) { print stage ": in the golden file, not counted"; bad = 1 }
          printf "%d stages counted%s\n", stages, bad ? "; if that is meant: make keep-instructions" : ", all within 3 % of the golden file"
          exit bad }' "$1" "$2"
}

if [ "${1:-}" = compare ]; then
  compare "$2" "$3"
  exit
fi
what=${1:?} program=${2:?} folder=${3:-tests/golden/instructions}
command -v valgrind > /dev/null || { echo 'no valgrind: make deps-check'; exit 3; }
work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT

version() { dpkg-query -W -f '${Version}' "$1" 2> /dev/null || echo unknown; }
{
  echo "# compiler $(${CXX:-g++} --version | sed -n '1s/^[^ ]* //p')"
  for package in libhwy1 libc6 libstdc++6 libjpeg62-turbo libjpeg-turbo8 libsqlite3-0 libssl3 libssl3t64 valgrind; do
    dpkg-query -s $package > /dev/null 2>&1 && echo "# $package $(version $package)"
  done
} > "$work/versions"
golden=
for file in "$folder"/*.tsv; do
  grep '^#' "$file" 2> /dev/null | cmp -s - "$work/versions" && golden=$file
done
if [ "$what" = check ] && [ -z "$golden" ]; then
  echo 'skipped: no golden file for these versions (make keep-instructions makes one):'
  cat "$work/versions"
  exit 77
fi

valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file="$work/counts" "$program" "$work/files" > "$work/log" 2>&1
code=$?
[ $code = 77 ] && { echo 'skipped: this processor has no AVX2'; exit 77; }
[ $code = 0 ] || { cat "$work/log"; exit 1; }
for file in "$work"/counts.*; do
  awk '/^desc: Trigger: Client Request: / { stage = substr($0, 32) } /^totals: / { count = $2 }
       END { if (stage != "" && count > 0) print count "\t" stage }' "$file"
done | LC_ALL=C sort -t '	' -k 2 > "$work/now"

if [ "$what" = keep ]; then
  # Named by the compiler and the C library; the lines at its top say the rest.
  [ -n "$golden" ] || golden=$folder/$(${CXX:-g++} -dumpfullversion)_$(version libc6 | tr ':~+' '---').tsv
  mkdir -p "$folder"
  cat "$work/versions" "$work/now" > "$golden"
  echo "$golden: $(wc -l < "$work/now") stages"
  exit
fi
compare "$golden" "$work/now"
