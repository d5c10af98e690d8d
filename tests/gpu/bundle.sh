#!/bin/sh
# make gpu-bundle: programs, the libraries they need but NVIDIA's, photos and graphs in one archive below 50 MiB. Unpack it on
# the machine with the GPU and say `sh check.sh` there. Usage: bundle.sh BUILD_DIR DATA_DIR
# SPDX-License-Identifier: Apache-2.0
set -eu
out=$1 data=$2
bundle=$out/gpu-bundle
[ -d "$data/data/flower_photos" ] || { echo "gpu-bundle: no photos in $data/data/flower_photos; COUPLET_DATA= names another folder" >&2; exit 2; }
rm -rf "$bundle" "$bundle.tar.xz"
mkdir -p "$bundle/bin" "$bundle/lib" "$bundle/data/models"
for program in retrain label_image libcouplet_cuda.so tests/gpu_tests tests/gpu_compare tests/gpu_bench tests/kernel_bench; do
  strip -o "$bundle/bin/$(basename $program)" "$out/$program"
done
# What every Linux has stays out (the C and C++ libraries belong to the machine), NVIDIA's too.
# libcrypto is opened when used; what downloads takes with it is not needed there.
crypto=$(realpath "$(${CXX:-g++} -print-file-name=libcrypto.so)")
[ -e "$crypto" ] || { echo 'gpu-bundle: no libcrypto.so; make deps' >&2; exit 2; }
{ for file in "$bundle"/bin/*; do ldd "$file"; done; echo "libcrypto => $crypto"; } |
  awk '$3 ~ /^\// { print $3 }' | sort -u |
  grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s|libcu(da|dart|blas|dnn)[a-zA-Z_]*|libnv[a-zA-Z]*)\.so' |
  while read -r library; do strip -o "$bundle/lib/$(basename "$library")" "$library"; done
# A hundred photos, twenty a class, in the same place as a checkout finds them.
for class in "$data"/data/flower_photos/*/; do
  to=$bundle/data/photos/$(basename "$class")
  mkdir -p "$to"
  find "$class" -name '*.jpg' | sort | head -n 20 | xargs cp -t "$to"
done
for model in "$data"/models/mobilenet*/; do cp -r "$model" "$bundle/data/models/"; done
cp tests/gpu/check.sh tests/gpu/peers.py "$bundle/"
git describe --always --dirty > "$bundle/commit" 2> /dev/null || echo unknown > "$bundle/commit"
XZ_OPT=-6 tar -C "$out" -cJf "$bundle.tar.xz" gpu-bundle
size=$(($(wc -c < "$bundle.tar.xz") / 1048576 + 1))
echo "$bundle.tar.xz: $size MiB, $(find "$bundle/data/photos" -type f | wc -l) photos"
[ $size -le 50 ] || { echo 'gpu-bundle: over 50 MiB' >&2; exit 1; }
