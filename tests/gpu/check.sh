#!/bin/sh
# make gpu-check: everything about the CUDA engine that only a GPU can show, on one page. Works in a checkout that was
# built, and in an unpacked bundle (make gpu-bundle) on a machine without compilers, packages or network: there say
# `sh check.sh`. OUT=FOLDER: where logs and figures go; GPU_BENCH=0 leaves the timings out, SANITIZE=0 compute-sanitizer; STEPS= and NETWORKS= choose less. Exit 0: all passed; 1: something failed; 3: no GPU.
# SPDX-License-Identifier: Apache-2.0
set -u
here=$(cd "$(dirname "$0")" && pwd)
if [ -d "$here/bin" ]; then
  bin=$here/bin tests=$here/bin data=$here/data out=${OUT:-$here/out} commit=$(cat "$here/commit")
  LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
  cd "$here/../.." || exit 1
  bin=build tests=build/tests data=${COUPLET_DATA:-../shared} out=${OUT:-build/gpu-check}
  commit=$(git describe --always --dirty 2> /dev/null || echo unknown)
fi
mkdir -p "$out/work" || exit 4
work=$out/work
page=$out/gpu-check.md
: > "$page"

# cuDNN and cuBLAS: the toolkit's, else those that pip installed.
pip=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2> /dev/null)
if [ -n "$pip" ]; then
  [ -n "${CUDNN_HOME:-}" ] || [ -e /usr/local/cuda/lib64/libcudnn.so.9 ] || export CUDNN_HOME="$pip/cudnn"
  [ -n "${CUDA_HOME:-}" ] || [ -d /usr/local/cuda/lib64 ] || export CUDA_HOME="$pip/cu13"
fi
for home in "${CUDA_HOME:-/usr/local/cuda}" "${CUDNN_HOME:-/usr/local/cuda}"; do
  for lib in lib64 lib; do
    [ ! -d "$home/$lib" ] || LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$home/$lib
  done
done
export LD_LIBRARY_PATH REQUIRE_CUDA=1

passed=0 failed=0 skipped=0
say() { printf '%s\n' "$*" | tee -a "$page"; }
# step NAME COMMAND...: its output goes to NAME.log; the last line of that is shown, or the last ten of a failure.
step() {
  step=$1
  shift
  begun=$(date +%s)
  "$@" > "$out/$step.log" 2>&1
  code=$?
  seconds=$(($(date +%s) - begun))
  if [ $code = 0 ]; then
    passed=$((passed + 1))
    say "ok      $step ($seconds s): $(grep -v '^$' "$out/$step.log" | tail -n 1 | cut -c1-120)"
  else
    failed=$((failed + 1))
    say "FAILED  $step ($seconds s), exit code $code:"
    tail -n 10 "$out/$step.log" | tee -a "$page"
  fi
}
skip() {
  skipped=$((skipped + 1))
  say "skipped $1: $2"
}
# scores GRAPH LABELS DEVICE FILE: a line a photo and class.
scores() {
  "$bin/label_image" --device="$3" --graph="$1" --labels="$2" --format=tsv --top_k=1000 "$photos_folder" > "$4"
}
# Scores of two such files, photo by photo and class by class, may differ by $3.
near() {
  sort "$1" > "$1.sorted" && sort "$2" > "$2.sorted" || return 1
  awk -F '\t' -v most="$3" '
    NR == FNR { score[$1, $4] = $5; n++; next }
    !(($1, $4) in score) { print "no score for " $1 " " $4; bad = 1; next }
    { d = $5 - score[$1, $4]; if (d < 0) d = -d; if (!(d <= worst)) worst = d; m++ }
    END { printf "%d scores, the furthest apart by %g\n", m, worst; exit bad || n != m || n == 0 || !(worst <= most) }' \
    "$1.sorted" "$2.sorted"
}
# codelab DEVICE NAME [FLAG...]: the codelab's command.
codelab() {
  device=$1 name=$2
  shift 2
  rm -rf "${work:?}/$name" && mkdir -p "$work/$name"
  "$bin/retrain" --device="$device" --image_dir="$photos" --model_file="$model" --how_many_training_steps="${STEPS:-4000}" \
    --bottleneck_dir="$work/$name/bottlenecks" --summaries_dir="$work/$name/events" \
    --output_graph="$work/$name/graph.pb" --output_labels="$work/$name/labels.txt" "$@"
}
same_accuracy() {
  a=$(sed -n 's/^Final test accuracy = \([0-9.]*\)%.*/\1/p' "$out/codelab_cpu.log" | head -n 1)
  b=$(sed -n 's/^Final test accuracy = \([0-9.]*\)%.*/\1/p' "$out/codelab_cuda.log" | head -n 1)
  echo "accuracy $a % on the CPU, $b % on the GPU"
  awk -v a="$a" -v b="$b" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d <= 0.5 && d >= -0.5) }'
}
same_graph_again() { codelab cuda again && cmp "$work/cuda/graph.pb" "$work/again/graph.pb" && echo 'the same bytes'; }
little_memory() {
  codelab cuda little --gpu_memory_mb=700 && cmp "$work/cuda/graph.pb" "$work/little/graph.pb" && echo 'the same bytes'
}
too_little_memory() {
  codelab cuda nothing --gpu_memory_mb=1
  code=$?
  tail -n 1 "$out/too_little_memory.log"
  [ $code = 3 ]
}
scores_agree() {
  scores "$work/cpu/graph.pb" "$work/cpu/labels.txt" cpu "$work/cpu.tsv" &&
    scores "$work/cpu/graph.pb" "$work/cpu/labels.txt" cuda "$work/cuda.tsv" && near "$work/cpu.tsv" "$work/cuda.tsv" 1e-5
}
graphs_agree() {
  scores "$work/cuda/graph.pb" "$work/cuda/labels.txt" cpu "$work/trained_on_cuda.tsv" &&
    near "$work/cpu.tsv" "$work/trained_on_cuda.tsv" 1e-3
}

photos=$data/photos
[ -d "$photos" ] || photos=$data/data/flower_photos
photos_folder=$(find "$photos" -type d | sort | tail -n 1)
model=$data/models/mobilenet_v1_0.25_128/frozen_graph.pb
networks=${NETWORKS:-$(find "$data/models" -name '*.pb' -path '*mobilenet*' | sort | tr '\n' ,)mobilenet_1.0_224,inception_v3}

if ! "$bin/retrain" --list_devices > "$out/devices.log" 2>&1 || ! grep -q 'can be used' "$out/devices.log"; then
  cat "$out/devices.log"
  echo 'gpu-check: no GPU that can be used, so nothing was checked'
  exit 3
fi
say "# gpu-check: commit $commit, $(date -u +%Y-%m-%d)"
sed 's/^/    /' "$out/devices.log" | tee -a "$page"
step kernels "$tests/gpu_tests"
step layers "$tests/gpu_compare" --networks="$networks" --photos="$photos" --temp="$work"
step layers_tuned "$tests/gpu_compare" --tune --networks="${NETWORKS:-$model,mobilenet_1.0_224,inception_v3}" --photos="$photos" --temp="$work"
step codelab_cpu codelab cpu cpu
step codelab_cuda codelab cuda cuda
step same_accuracy same_accuracy
step scores_agree scores_agree
step graphs_agree graphs_agree
step repeat_run same_graph_again
step little_memory little_memory
step too_little_memory too_little_memory
if [ "${SANITIZE:-1}" = 0 ]; then
  skip sanitizer 'SANITIZE=0'
elif command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck; do
    step $tool timeout 150 compute-sanitizer --tool $tool --error-exitcode 9 "$tests/gpu_tests" -tc='*exact*'
  done
else
  skip sanitizer 'compute-sanitizer is not there'
fi
if [ "${GPU_BENCH:-1}" = 1 ]; then
  step bench "$tests/gpu_bench" --tune --rounds=3 --seconds=0.1 --files=3000 --photos="$photos" --temp="$work" --label_image="$bin/label_image" --json="$out/bench.json"
  sed 's/^/    /' "$out/bench.log" | tee -a "$page"
  if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2> /dev/null; then
    step peers python3 "$here/peers.py" --json="$out/peers.json"
    sed 's/^/    /' "$out/peers.log" | tee -a "$page"
  else
    skip peers 'no PyTorch with CUDA on this machine'
  fi
  step kernel_bench "$tests/kernel_bench" 64
fi
say "$passed passed, $failed failed, $skipped skipped"
rm -rf "$work"
[ $failed = 0 ]
