#!/bin/sh
# apps -> models -> loaders -> runtime -> kernels, never back; oneDNN only in runtime/cpu; no product of tensor
# dimensions outside runtime/shape. Prints every line that breaks a rule and ends with 1.
# Usage: sh tests/check_includes.sh [ROOT]
# SPDX-License-Identifier: Apache-2.0
set -u
cd "${1:-.}" || exit 2
found=0

# forbid WHAT PATTERN PLACE...: no source under PLACE may have a line that matches.
forbid() {
  what=$1 pattern=$2
  shift 2
  for place in "$@"; do
    [ -d "$place" ] || continue
    if grep -rnE --include='*.h' --include='*.cc' --include='*.cu' --include='*.cuh' -e "$pattern" "$place"; then
      echo "check-includes: $what" >&2
      found=1
    fi
  done
}
include() { printf '^[[:space:]]*#[[:space:]]*include[[:space:]]*"(\\.\\./)*(%s)/' "$1"; }

forbid "nothing but the tests includes tests/" "$(include tests)" kernels runtime loaders models apps
forbid "models/ must not include apps/" "$(include apps)" models
forbid "loaders/ must not include apps/ or models/" "$(include 'apps|models')" loaders
forbid "runtime/ must not include apps/, models/ or loaders/" "$(include 'apps|models|loaders')" runtime
forbid "kernels/ must include nothing but kernels/" "$(include 'apps|models|loaders|runtime')" kernels
forbid "only runtime/cpu includes oneDNN" '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](oneapi/)?dnnl' \
  kernels loaders models apps
for file in runtime/*.h runtime/*.cc; do
  [ -f "$file" ] || continue
  if grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](oneapi/)?dnnl' "$file" /dev/null; then
    echo "check-includes: only runtime/cpu includes oneDNN" >&2
    found=1
  fi
done
forbid "kernels are chosen by COUPLET_DISPATCH (runtime/cpu/dispatch.h says why)" '^[^/]*(HWY_DYNAMIC_DISPATCH|HWY_EXPORT)|<hwy/(aligned_allocator|nanobenchmark|targets|timer)' runtime loaders models apps
# A product of sizes that a file may name is CheckedMul's (runtime/shape.h).
forbid "a raw product of dims; use CheckedMul" 'dims(\(\))?\[[^]]*\] *\*[^/]|\* *[a-z_.]*dims(\(\))?\[' runtime loaders models
exit $found
