#!/usr/bin/env bash
# The same training on UTKFace's list as it is and on the audited one, three seeds each.
# Needs $FACE_ANALYSIS_DATA/utkface and about an hour on two cores.     recipes/audited_training.sh OUTPUT_FOLDER
set -euo pipefail
output="$(realpath -m "$1")"
cd "$FACE_ANALYSIS_DATA/utkface"

for list in train val; do
  face-analysis align images "$output/chips_$list" -i $list.txt --faces centre --whole
done
face-analysis audit train.txt val.txt -s images -d "$output/audit" --fix majority

for seed in 0 1 2; do
  for list in "$output/chips_train/chips.csv" "$output/audit/cleaned/train.csv"; do
    kind="$([[ $list == *cleaned* ]] && echo audited || echo original)"
    face-analysis train --preset original -a race gender age -ts "$output/chips_train" -t "$list" \
      -vs "$output/chips_val" -v "$output/chips_val/chips.csv" -o "$output/${kind}_$seed" \
      --depth 18 --width 0.125 -e 3 -b 128 -lr 0.1 --lr_cosine --head_lr 10 --class_weight_power 0 \
      --jitter 0.5 --validations 1 -w 1 --seed $seed
  done
done
