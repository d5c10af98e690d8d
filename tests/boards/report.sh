#!/bin/sh
# One text file about this machine and what Couplet does on it, to be sent by whoever has a board: versions, what there is
# to compute with, the tests, the kernels' tests and timings on the GPU where they were built, and a watched training.
# Usage: sh tests/boards/report.sh BUILD
# SPDX-License-Identifier: Apache-2.0
set -u

out=$1
report=$out/board-report.txt
work=$out/board-report
rm -rf "$work"
mkdir -p "$work"
section() { printf '\n== %s\n' "$1"; }
# show COMMAND...: what it says, or that it failed; the report goes on.
show() {
  echo "\$ $*"
  "$@" 2>&1 || echo "(ended with $?)"
}
{
  echo 'Couplet: board report'
  date -u
  section machine
  for file in /proc/device-tree/model /etc/nv_tegra_release; do
    [ -r "$file" ] && { tr -d '\0' < "$file"; echo; }
  done
  show uname -srm
  grep -m 1 -E '^(model name|Model)' /proc/cpuinfo
  grep -E '^(MemTotal|MemAvailable|Cached)' /proc/meminfo
  command -v nvpmodel > /dev/null && show nvpmodel -q
  command -v dpkg-query > /dev/null && dpkg-query -W -f '${Package} ${Version}\n' 'nvidia-l4t-core' 'nvidia-jetpack' 'libcudnn*' 2> /dev/null
  section build
  show "$out/retrain" --version
  show "$out/retrain" --list_devices
  section tests
  "$out/tests/couplet_tests" --jobs="$(nproc)" > "$work/tests.log" 2>&1
  grep -E 'ERROR:|^TEST CASE:|^skipped: ' "$work/tests.log"
  tail -n 1 "$work/tests.log"
  if [ -x "$out/tests/gpu_tests" ]; then
    "$out/tests/gpu_tests" > "$work/gpu_tests.log" 2>&1
    tail -n 3 "$work/gpu_tests.log"
  else
    echo 'kernels on the GPU: not built (make gpu-programs, where nvcc is)'
  fi
  if [ -x "$out/tests/kernel_bench" ]; then
    section 'kernels, timed on the GPU'
    show "$out/tests/kernel_bench" 32
  fi
  section timings
  photos=${COUPLET_PHOTOS:-tf_files/flower_photos}
  if [ -d "$photos" ]; then
    for device in cpu cuda; do
      show "$out/retrain" --device=$device --architecture=couplet_0.25_128 --image_dir="$photos" --bottleneck_dir="$work/$device" \
        --summaries_dir="$work/$device.events" --output_graph="$work/$device.pb" --output_labels="$work/$device.txt" \
        --how_many_training_steps=500 --watch --quiet --json="$work/$device.json"
      [ -f "$work/$device.json" ] && cat "$work/$device.json"
    done
  else
    echo "no photos in $photos: make flowers fetches them, COUPLET_PHOTOS=FOLDER names others"
  fi
} > "$report" 2>&1
echo "$report: $(wc -l < "$report") lines; nothing was sent anywhere"
