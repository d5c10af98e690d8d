#!/bin/sh
# The whole suite on arm64 in an emulator, then the codelab's command (200 steps, 60 photos) on both machines: the same
# split, vectors within 1e-5, the same nodes in the graph. Figures go to build/arm64/check.txt.
# Usage: sh tests/boards/check_arm64.sh ARM64_BUILD EMULATOR BUILD SHARED [TESTS]
# SPDX-License-Identifier: Apache-2.0
set -eu

arm64=$1 emulator=$2 native=$3 shared=$4 tests=${5:-}
COUPLET_EMULATOR=$(command -v "$emulator")
QEMU_LD_PREFIX=$(cd "$arm64/sysroot" && pwd)
export COUPLET_EMULATOR QEMU_LD_PREFIX
"$COUPLET_EMULATOR" "$arm64/label_image" --version

"$COUPLET_EMULATOR" "$arm64/tests/couplet_tests" --jobs="$(nproc)" ${tests:+"-tc=$tests"} > "$arm64/tests.log" 2>&1 || true
summary=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$arm64/tests.log" | tail -n 1)
grep -E '^skipped: |ERROR:|^TEST CASE:' "$arm64/tests.log" || true
echo "arm64: ${summary:-no tests ran}"

photos=$shared/data/flower_photos
[ -d "$photos" ] || photos=tf_files/flower_photos
model=$shared/models/mobilenet_v1_0.25_128/frozen_graph.pb
[ -f "$model" ] || model=weights/couplet_mobilenet_v1_0.25_128.pb
same="not run: there are no photos in $photos; make flowers fetches them"
if [ -d "$photos" ] && [ -f "$model" ]; then
  work=$arm64/codelab
  rm -rf "$work"
  mkdir -p "$work/photos"
  # Twelve photos of each of the five kinds.
  for folder in "$photos"/*/; do
    kind=$(basename "$folder")
    mkdir "$work/photos/$kind"
    find "$folder" -name '*.jpg' | sort | head -n 12 | while read -r photo; do cp "$photo" "$work/photos/$kind/"; done
  done
  # codelab NAME PROGRAM...: text files of vectors, which can be compared without our own code.
  codelab() {
    name=$1
    shift
    "$@" --device=cpu --image_dir="$work/photos" --model_file="$model" --how_many_training_steps=200 --bottleneck_format=text \
      --bottleneck_dir="$work/$name" --summaries_dir="$work/$name.events" --output_graph="$work/$name.pb" \
      --output_labels="$work/$name.txt" --json="$work/$name.json" > "$work/$name.out" 2> "$work/$name.err" ||
      { cat "$work/$name.err"; exit 1; }
  }
  codelab arm64 "$COUPLET_EMULATOR" "$arm64/retrain"
  codelab native "$native/retrain"
  same=$(python3 tests/boards/compare_codelab.py "$work") || { echo "$same"; exit 1; }
fi
echo "codelab: $same"
printf 'arm64: %s\ncodelab: %s\n' "${summary:-no tests ran}" "$same" > "$arm64/check.txt"
case ${summary:-} in *' 0 failed'*) ;; *) exit 1 ;; esac
