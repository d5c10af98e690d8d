#!/bin/sh
# Are the kernels' tests worth something? Puts one fault after the other into a copy of a kernel's file, builds that
# kernel for the harness, and demands that its tests fail. Prints "N mutants caught of M" and ends with 1 if one lives.
# Called by `make check-mutations`, which names compiler, flags and archives. KERNEL= keeps to one kernel.
# A line of tests/kernels/mutations.tsv: kernel, kind of fault, file, text (once in that file), replacement.
# SPDX-License-Identifier: Apache-2.0
set -u
: "${MUTANTS_DIR:?}" "${COMPILE:?}" "${LINK:?}" "${TESTS_DIR:?}"
table=${TABLE:-tests/kernels/mutations.tsv}
tab=$(printf '\t')

# build KERNEL DIR SOURCE: DIR/tests with that kernel compiled from SOURCE, DIR's copies of headers first.
build() {
  $COMPILE -I"$2" -I. -c "$3" -o "$2/kernel.o" 2> "$2/build.log" &&
    eval "$LINK_FRONT $2/kernel.o $TESTS_DIR/$1_test.o $LINK" -o "$2/tests" 2>> "$2/build.log"
}
run() { timeout 300 "$2/tests" -tc="kernel $1:*" -aa=1 > "$2/run.log" 2>&1; }

one() {
  number=$1
  line=$(sed -n "${number}p" "$table")
  kernel=$(printf '%s' "$line" | cut -f1) kind=$(printf '%s' "$line" | cut -f2) file=$(printf '%s' "$line" | cut -f3)
  text=$(printf '%s' "$line" | cut -f4) replacement=$(printf '%s' "$line" | cut -f5)
  dir=$MUTANTS_DIR/$number
  rm -rf "$dir"
  mkdir -p "$dir/$(dirname "$file")"
  found=$(grep -cF -e "$text" "$file")
  if [ "$found" != 1 ]; then
    echo "line $number: '$text' is in $found lines of $file" > "$dir/verdict"
    return
  fi
  FROM=$text TO=$replacement awk '{ at = index($0, ENVIRON["FROM"])
    if (at) $0 = substr($0, 1, at - 1) ENVIRON["TO"] substr($0, at + length(ENVIRON["FROM"]))
    print }' "$file" > "$dir/$file"
  source=kernels/$kernel.cu
  [ "$file" = "$source" ] && source=$dir/$file
  if ! build "$kernel" "$dir" "$source"; then
    echo "line $number: does not compile: $(grep -m1 error "$dir/build.log")" > "$dir/verdict"
  elif run "$kernel" "$dir"; then
    echo "line $number: LIVES: $kernel, $kind: $text -> $replacement" > "$dir/verdict"
  else
    echo caught > "$dir/verdict"
  fi
  rm -f "$dir/kernel.o" "$dir/tests"
}

if [ $# = 2 ] && [ "$1" = --one ]; then
  one "$2"
  exit
fi

numbers=$(awk -F "$tab" -v kernel="${KERNEL:-}" '!/^#/ && NF == 5 && (kernel == "" || kernel == $1) { print NR }' "$table")
bad=$(awk -F "$tab" '!/^#/ && NF > 0 && NF != 5 { print NR }' "$table")
[ -z "$bad" ] || { echo "$table: not five fields in line $bad"; exit 1; }
mkdir -p "$MUTANTS_DIR"
status=0
# Without a fault the same build has to pass, or a failure would say nothing.
for kernel in $(for n in $numbers; do sed -n "${n}p" "$table" | cut -f1; done | sort -u); do
  dir=$MUTANTS_DIR/$kernel
  mkdir -p "$dir"
  if ! build "$kernel" "$dir" "kernels/$kernel.cu" || ! run "$kernel" "$dir"; then
    echo "$kernel: its tests fail without a fault"
    tail -n 20 "$dir/build.log" "$dir/run.log" 2> /dev/null
    exit 1
  fi
  rm -f "$dir/kernel.o" "$dir/tests"
  lines=$(awk -F "$tab" -v kernel="$kernel" '!/^#/ && kernel == $1' "$table" | wc -l)
  [ "$lines" -ge 5 ] || { echo "$kernel: $lines faults, five are the least"; status=1; }
done
# shellcheck disable=SC2086
printf '%s\n' $numbers | xargs -P "${JOBS:-2}" -n 1 sh "$0" --one
total=0 caught=0
for number in $numbers; do
  total=$((total + 1))
  verdict=$(cat "$MUTANTS_DIR/$number/verdict")
  if [ "$verdict" = caught ]; then caught=$((caught + 1)); else echo "$verdict"; fi
done
echo "$caught mutants caught of $total"
[ $caught = $total ] && exit $status
exit 1
