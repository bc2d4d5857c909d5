#!/usr/bin/env bash
# The same small training of age with every loss: for each the best of three learning rates, then two more seeds with it.
# Needs $FACE_ANALYSIS_DATA/utkface and some hours on two cores; run again, it goes on where it was stopped.
#     recipes/age_losses.sh OUTPUT_FOLDER [LOSSES ...]
set -euo pipefail
output="$(realpath -m "$1")"
collect="$(realpath "$(dirname "$0")/../benchmarks/age_losses.py")"
losses=(ordinal pairs coral corn dex dldl mean_variance l1 l2)
if [[ $# -gt 1 ]]; then losses=("${@:2}"); fi

run() { # LOSS LEARNING_RATE SEED
  local folder="$output/$1_lr$2_seed$3" resume=()
  if [[ -f "$folder/validation/metrics.json" ]]; then return; fi
  if [[ -f "$folder/checkpoints/last.ckpt" ]]; then resume=(--resume "$folder"); fi
  # Status 1 is a loss that ran away at this learning rate: the run counts as none.
  face-analysis train -a age --age_loss "$1" -lr "$2" --seed "$3" -o "$folder" "${resume[@]}" \
    -ts "$output/chips_train" -t "$output/chips_train/chips.csv" -vs "$output/chips_val" -v "$output/chips_val/chips.csv" \
    --depth 18 --width 0.125 -e 3 -b 128 --lr_cosine --head_lr 10 --jitter 0.5 --validations 1 -w 0 || [[ $? == 1 ]]
}

for list in train val; do
  if [[ ! -f "$output/chips_$list/chips.csv" ]]; then
    face-analysis align "$FACE_ANALYSIS_DATA/utkface/images" "$output/chips_$list" -i "$FACE_ANALYSIS_DATA/utkface/$list.txt" --faces centre --whole
  fi
done
for loss in "${losses[@]}"; do
  for rate in 1 0.1 0.01; do run $loss $rate 0; done
  best="$(python "$collect" "$output" --best $loss)"
  for seed in 1 2; do run $loss "$best" $seed; done
done
python "$collect" "$output"
