#!/bin/sh
# Runs every fuzzer, JOBS at a time, from the kept seeds and a corpus that grows beside them, and adds up what it came
# to. Ends with 1 when anything was found; the inputs that did it lie in FOLDER/found.
# Usage: sh tests/fuzz/run.sh FOLDER SECONDS [TARGET...]
# SPDX-License-Identifier: Apache-2.0
set -u
# Called by itself, for one target.
if [ "$1" = --one ]; then
  folder=$2 seconds=$3 name=$4
  mkdir -p "$folder/corpus/$name"
  ln -f "$folder/fuzzers" "$folder/by-name/$name"
  # -entropic=0: its bookkeeping costs more than these inputs. -timeout: no input this small may take long. A tenth of a second is usual under the sanitizers.
  nice -n 19 "$folder/by-name/$name" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 \
    -timeout=25 -entropic=0 -print_final_stats=1 -artifact_prefix="$folder/found/$name-" \
    "$folder/corpus/$name" "tests/fuzz/seeds/$name" "$folder/starts/$name" > "$folder/log/$name" 2>&1
  echo $? > "$folder/log/$name.code"
  exit 0
fi
folder=$1 seconds=$2
shift 2
"$folder/fuzz_starts" "$folder/starts" || exit 1
# shellcheck disable=SC2048,SC2086
set -- $*
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(ls "$folder/starts")
for name in "$@"; do
  [ -d "$folder/starts/$name" ] || { echo "$name is none of: $(ls "$folder/starts" | tr '\n' ' ')"; exit 2; }
done
mkdir -p "$folder/found" "$folder/log" "$folder/by-name"
printf '%s\n' "$@" | xargs -P "${JOBS:-1}" -n 1 sh "$0" --one "$folder" "$seconds"

findings=0 total=0 whole=0
printf '%-16s %12s %10s %8s %8s  %s\n' target executions a-second edges corpus outcome
for name in "$@"; do
  log=$folder/log/$name
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n 1)
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log" | tail -n 1)
  outcome=clean
  if [ "$(cat "$log.code")" != 0 ]; then outcome="FOUND: see $log"; findings=$((findings + 1)); fi
  [ "${took:-0}" -lt 900 ] || whole=$((whole + 1))
  total=$((total + ${executions:-0}))
  # shellcheck disable=SC2012
  printf '%-16s %12s %10s %8s %8s  %s\n' "$name" "${executions:-0}" "${rate:-0}" "${edges:-0}" \
    "$(ls "$folder/corpus/$name" | wc -l)" "$outcome"
done
echo "$# targets, $total executions, $findings findings"
# What counts are runs of a quarter of an hour: whoever asks for less looks for something else.
if [ "$seconds" -ge 900 ]; then
  python3 tests/reliability/reliability.py count fuzz --required=12 --done=$whole --open=$findings \
    --command='make fuzz SECONDS=900' --notes="targets run for 15 minutes; $total executions" || exit 1
fi
[ $findings = 0 ]
