#!/bin/sh
# Tries both lines of the README, word for word, on bare systems: debootstrap makes one in a temporary folder, the
# project is copied in, shared data is bound beside it, and each line runs in a copy of its own. Needs root,
# debootstrap and a package mirror; everything made here is removed again.
# Usage: sh tests/check_fresh.sh [SUITE...]     (default: bookworm trixie; MIRROR=URL names the package mirror)
# SPDX-License-Identifier: Apache-2.0
set -eu

if [ "$(id -u)" != 0 ]; then
  echo "check-fresh: needs root (chroot, mount): sudo make check-fresh" >&2
  exit 3
fi
command -v debootstrap > /dev/null || { echo "check-fresh: apt-get install debootstrap" >&2; exit 3; }
# Mounts made from here on are seen by nobody else and vanish with the last process.
if [ "${CHECK_FRESH_UNSHARED:-}" != 1 ]; then
  CHECK_FRESH_UNSHARED=1 exec unshare --mount --propagation private sh "$0" "$@"
fi

suites=${*:-bookworm trixie}
mirror=${MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null |
  sed -n 's/^URIs: *\([^ ]*\/debian\)\/\{0,1\} *$/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\/debian\)\/\{0,1\} .*/\2/p' |
  head -n 1)}
mirror=${mirror:-http://deb.debian.org/debian}
shared=${COUPLET_DATA:-../shared}
mkdir -p build
work=$(mktemp -d "$PWD/build/fresh.XXXXXX")
root=
clean_up() {
  [ -z "$root" ] || umount -q "$root/root/shared" "$root/proc" 2> /dev/null || true
  # Never through a mount that could not be undone.
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# README's two lines; without sudo, as root has no need of it.
lines=$(sed -n 's/^ *\(sudo apt-get update && .*make \(demo\|test\)\)\( *#.*\)\{0,1\}$/\1/p' README.md | sed 's/sudo //g')
if [ "$(printf '%s\n' "$lines" | wc -l)" != 2 ]; then
  echo "check-fresh: README.md does not hold the two lines (make demo, make test)" >&2
  exit 1
fi

failed=0
for suite in $suites; do
  echo "== $suite: debootstrap from $mirror"
  debootstrap --variant=minbase "$suite" "$work/$suite" "$mirror" > "$work/debootstrap.log" 2>&1 ||
    { tail -n 20 "$work/debootstrap.log"; echo "check-fresh: no $suite" >&2; exit 3; }
  number=0
  while IFS= read -r line; do
    number=$((number + 1))
    root=$work/$suite.$number
    cp -a "$work/$suite" "$root"
    mkdir "$root/root/couplet"
    git ls-files -z | tar --null -T - -cf - | tar xf - -C "$root/root/couplet"
    mount -t proc proc "$root/proc" || mount --bind /proc "$root/proc"
    if [ -d "$shared" ]; then
      mkdir "$root/root/shared"
      mount --bind "$shared" "$root/root/shared"
      mount -o remount,bind,ro "$root/root/shared"
    fi
    echo "== $suite: $line"
    begun=$(date +%s)
    code=0
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
      chroot "$root" sh -c "cd /root/couplet && { $line; }" > "$work/log" 2>&1 < /dev/null || code=$?
    seconds=$(($(date +%s) - begun))
    tail -n 25 "$work/log"
    if [ $code = 0 ]; then
      echo "== $suite: line $number passed in $seconds s"
    else
      grep -nE 'error|Error|FAILED|\*\*\*' "$work/log" | head -n 40
      echo "== $suite: line $number FAILED with $code after $seconds s"
      failed=$((failed + 1))
    fi
    umount -q "$root/root/shared" 2> /dev/null || true
    umount "$root/proc"
    rm -rf --one-file-system "$root"
    root=
  done <<LINES
$lines
LINES
  rm -rf --one-file-system "${work:?}/$suite"
done
if [ $failed = 0 ]; then
  echo "check-fresh: every line passed on $suites"
else
  echo "check-fresh: $failed lines failed" >&2
  exit 1
fi
