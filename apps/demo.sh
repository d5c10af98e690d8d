#!/bin/sh
# `make demo`: the codelab on pictures from Debian's tuxpaint-stamps-default, with the graph that comes with Couplet.
# Usage: sh apps/demo.sh PROGRAMS-FOLDER
# SPDX-License-Identifier: Apache-2.0
set -eu
programs=$1
stamps=${COUPLET_STAMPS:-/usr/share/tuxpaint/stamps}
photos=build/demo
unseen=build/demo_unseen
out=build/demo_files

[ -e "$stamps" ] || { echo "demo: there is no $stamps" >&2; exit 3; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
show() {
  echo
  echo "\$ $*"
  "$@"
}

started=$(now_ms)
rm -rf "$unseen" "$out"
mkdir -p "$unseen" "$out"
sh apps/demo_pictures.sh "$stamps" "$photos"
# Three that retrain will not see, of the three larger classes.
for picture in animals/elephant food/strawberry plants/rose; do
  mv "$photos/$picture.png" "$unseen/"
done
echo "Pictures from Debian's tuxpaint-stamps-default (drawings, cartoons and mirrored ones left out):"
for class in "$photos"/*; do
  echo "  $class: $(find "$class" -type f | wc -l)"
done
copied=$(now_ms)

show "$programs/retrain" --architecture=couplet_0.25_128 --image_dir="$photos" --alpha=white --testing_percentage=20 \
  --eval_step_interval=500 --bottleneck_dir="$out/bottlenecks" --summaries_dir="$out/training_summaries" \
  --output_graph="$out/retrained_graph.pb" --output_labels="$out/retrained_labels.txt" --json="$out/report.json"
trained=$(now_ms)

show "$programs/label_image" --graph="$out/retrained_graph.pb" --labels="$out/retrained_labels.txt" \
  --alpha=white "$unseen"
labelled=$(now_ms)

echo
echo "Stages: pictures copied $((copied - started)) ms, retrained $((trained - copied)) ms," \
  "three pictures labelled $((labelled - trained)) ms."
echo "Try next, with a picture of your own:"
echo "  $programs/label_image --graph=$out/retrained_graph.pb --labels=$out/retrained_labels.txt PICTURE.jpg"
echo "or the codelab's flowers (229 MB from the internet): make flowers"
