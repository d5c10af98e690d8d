#!/bin/sh
# cppcheck over all, and clang-tidy (.clang-tidy) over the files named, or all: what neither may find is fixed or, with its reason,
# left out in .clang-tidy and tests/cppcheck.supp. Files that were clean are not looked at again until they or a header of ours that
# they include change.
# Usage: sh tests/check_static.sh FOLDER JOBS 'COMPILER FLAGS' [FILE...]
# SPDX-License-Identifier: Apache-2.0
set -u
# Called by itself, for one file.
if [ "$1" = --one ]; then
  folder=$2 flags=$3 file=$4
  log=$folder/$(echo "$file" | tr / _)
  # shellcheck disable=SC2086
  parts=$(${CXX:-c++} $flags -MM "$file" | sed 's/^[^:]*://; s/\\$//')
  # shellcheck disable=SC2086
  key=$(cat .clang-tidy $parts | sha256sum)
  [ "$(cat "$log.clean" 2>/dev/null)" = "$key" ] && exit 0
  # shellcheck disable=SC2086
  if clang-tidy --quiet "$file" -- $flags > "$log" 2>/dev/null; then
    echo "$key" > "$log.clean"
  else
    cat "$log"
    exit 1
  fi
  exit 0
fi
folder=$1 jobs=$2 flags=$3
shift 3
mkdir -p "$folder"
found=0
cppcheck --std=c++20 --language=c++ --quiet --enable=warning,performance,portability --inline-suppr -I. -I"${GEN:-build/gen}" \
  --suppress=missingInclude --suppress=unknownMacro --suppressions-list=tests/cppcheck.supp -j "$jobs" --error-exitcode=1 \
  --template='{file}:{line}: {severity}: {message} [{id}]' runtime loaders models apps || found=1
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find runtime loaders models apps -name '*.cc' | sort)
printf '%s\n' "$@" | xargs -P "$jobs" -I{} sh "$0" --one "$folder" "$flags" {} || found=1
echo "$# files, $([ $found = 0 ] && echo clean || echo 'findings above')"
exit $found
