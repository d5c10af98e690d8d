#!/bin/sh
# The demo's pictures: copies photographs of animals, food, household things and plants from Debian's
# tuxpaint-stamps-default into FOLDER, one sub-folder a label.
# Usage: sh apps/demo_pictures.sh STAMPS FOLDER
# SPDX-License-Identifier: Apache-2.0
set -eu
stamps=$1
photos=$2

# Photographs only: no cartoons, no toys of plush and plastic, no mirrored copies, and not the few stamps that are
# drawings among photographs.
drawn='bee|echidna|fly|hedgehog|highlighter|key|pizza'
pictures_of() {
  find "$stamps/$1" -name '*.png' | LC_ALL=C sort |
    grep -vE "/(cartoon|plastic|toys)/|_(mirror|flip)\.png\$|/($drawn)\.png\$"
}

rm -rf "$photos"
for class in animals food household plants; do
  mkdir -p "$photos/$class"
  pictures_of "$class" | while IFS= read -r picture; do
    # Flat: mammals/cats/lion.png becomes animals/lion.png. Should two share a name, the second keeps its folder's.
    name=${picture##*/} folder=${picture%/*}
    [ ! -e "$photos/$class/$name" ] || name=${folder##*/}_$name
    cp "$picture" "$photos/$class/$name"
  done
done
