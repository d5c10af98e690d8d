#!/bin/sh
# make profile: where the time of a cold retrain goes. With nsys (Debian non-free: nsight-systems) its report and a text
# summary; always our own table and trace. Usage: profile.sh BUILD_DIR PHOTOS DEVICE
# SPDX-License-Identifier: Apache-2.0
set -eu
build=$1 photos=$2 device=$3
[ -d "$photos" ] || { echo "profile: no photos in $photos; COUPLET_DATA= names another folder" >&2; exit 2; }
out=$build/profile
rm -rf "$out"
mkdir -p "$out"
retrain() {
  rm -rf "$out/run"
  "$@" "$build/retrain" --device="$device" --image_dir="$photos" --model_file=weights/couplet_mobilenet_v1_0.25_128.pb \
    --bottleneck_dir="$out/run/bottlenecks" --summaries_dir="$out/run/events" --output_graph="$out/run/graph.pb" \
    --output_labels="$out/run/labels.txt" --quiet --profile="$out/trace.json" > "$out/retrain.txt" 2>&1 || {
    code=$?
    cat "$out/retrain.txt" >&2
    exit $code
  }
}
if command -v nsys > /dev/null; then
  retrain nsys profile --force-overwrite=true --trace=cuda,nvtx,cublas,cudnn,osrt --output="$out/retrain"
  nsys stats --force-export=true --report nvtx_sum,cuda_gpu_kern_sum,cuda_gpu_mem_time_sum,cuda_api_sum "$out/retrain.nsys-rep" > "$out/nsys.txt"
  echo "nsys: $out/retrain.nsys-rep (open it with nsys-ui), summary in $out/nsys.txt"
else
  retrain env
  echo 'nsys is not there (Debian non-free: nsight-systems); our own trace then'
fi
rm -rf "$out/run"
cat "$out/retrain.txt"
echo "table in $out/retrain.txt, trace in $out/trace.json: open it with chrome://tracing or ui.perfetto.dev"
