#!/bin/sh
# Whether programs and shared objects carry what a release is built with: position-independent, read-only relocations bound
# at start, no executable stack, stack protector, FORTIFY; objects, the processor's marks (CET, or BTI and PAC). (Not the programs: the
# linker drops the mark where one part lacks it, and Debian 12's start files do.) One line a file and fault; ends with 1.
# Usage: sh tests/check_hardening.sh FILE...
# SPDX-License-Identifier: Apache-2.0
set -u
found=0
lacks() {
  echo "$file: $1"
  found=1
}
for file in "$@"; do
  headers=$(readelf -W -h -l -d "$file") || { found=1; continue; }
  case $headers in
    *'Type:'*'REL (Relocatable'*)
      case $headers in
        *X86-64*) readelf -W -n "$file" | grep -q 'IBT, SHSTK' || lacks 'is not marked for CET (-fcf-protection)' ;;
        *AArch64*) readelf -W -n "$file" | grep -q 'BTI, PAC' || lacks 'is not marked for BTI and PAC (-mbranch-protection)' ;;
      esac
      continue ;;
  esac
  # The checks' functions come in from libc, undefined.
  symbols=$(readelf -W --dyn-syms "$file")
  echo "$headers" | grep -qE 'Type: +DYN' || lacks 'is not position-independent (-pie)'
  echo "$headers" | grep -q GNU_RELRO || lacks 'has no read-only relocations (-z relro)'
  echo "$headers" | grep -qE 'BIND_NOW|Flags: .*NOW' || lacks 'binds symbols late (-z now)'
  echo "$headers" | grep -qE 'GNU_STACK.* RWE ' && lacks 'has an executable stack'
  echo "$headers" | grep -qE 'LOAD.* RWE ' && lacks 'has memory that is written and executed'
  echo "$symbols" | grep -q '__stack_chk_fail' || lacks 'has no stack protector (-fstack-protector-strong)'
  echo "$symbols" | grep -qE ' __[a-z]+_chk(@|$)' || lacks 'calls no checked functions (-D_FORTIFY_SOURCE=2)'
done
echo "$# files, $([ $found = 0 ] && echo hardened || echo 'faults above')"
exit $found
