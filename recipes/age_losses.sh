#!/usr/bin/env bash
# The same small fine-tuning to age with every loss: for each the best of three or four learning rates, then two more seeds with it.
# A tenth of UTKFace's training list, no copy of the rest in it, chooses the rate; val.txt judges. Needs $FACE_ANALYSIS_DATA/utkface,
# the CosFace model of `recipes/recognition.sh OUT 45 0` to start from, and some three hours of a core; run again, it goes on where it
# was stopped.     recipes/age_losses.sh OUTPUT_FOLDER MODEL [LOSSES ...]
set -euo pipefail
output="$(realpath -m "$1")"
model="$(realpath "$2")"
collect="$(realpath "$(dirname "$0")/../benchmarks/age_losses.py")"
losses=(ordinal pairs coral corn dex dldl mean_variance l1 l2)
if [[ $# -gt 2 ]]; then losses=("${@:3}"); fi

run() { # LOSS LEARNING_RATE SEED
  local folder="$output/$1_lr$2_seed$3" resume=(--overwrite)
  if [[ -f "$folder/judged/metrics.json" ]]; then return; fi
  if [[ -f "$folder/checkpoints/last.ckpt" ]]; then resume=(--resume "$folder"); fi
  # Status 1 is a loss that ran away at this learning rate: the run counts as none.
  face-analysis train --preset original -a age --age_loss "$1" -lr "$2" --seed "$3" -o "$folder" "${resume[@]}" \
    -ts "$output/chips_train" -t "$output/lists/train.csv" -vs "$output/chips_train" -v "$output/lists/choose.csv" \
    --depth 18 --width 0.125 --embedding_size 128 --pretrained "$model" -e 2 -b 128 --lr_cosine --head_lr 10 \
    --jitter 0.5 --validations 1 -w 0 || { [[ $? == 1 ]]; return; }
  face-analysis predict -m "$folder/model.safetensors" --aligned -s "$output/chips_val" -i "$output/chips_val/chips.csv" -d "$folder/predicted" --overwrite
  face-analysis evaluate --predictions "$folder/predicted/chips_predictions.csv" --labels "$output/chips_val/chips.csv" -d "$folder/judged" --overwrite
}

if [[ ! -f "$output/lists/choose.csv" ]]; then
  for list in train val; do
    face-analysis align "$FACE_ANALYSIS_DATA/utkface/images" "$output/chips_$list" -i "$FACE_ANALYSIS_DATA/utkface/$list.txt" --faces centre --whole --resume
  done
  face-analysis audit "$output/chips_train/chips.csv" -s "$output/chips_train" -d "$output/audit" --overwrite
  face-analysis annotations split "$output/chips_train/chips.csv" -d "$output/lists" --shares 0.9 0.1 --names train choose \
    --by group --groups "$output/audit/groups.csv" --stratify age --overwrite
fi
for loss in "${losses[@]}"; do
  for rate in 0.1 0.3 0.03; do run $loss $rate 0; done
  case "$(python "$collect" "$output" --best $loss)" in # at the end of the three: one more on that side
    0.3) run $loss 1 0 ;;
    0.03) run $loss 0.01 0 ;;
  esac
  best="$(python "$collect" "$output" --best $loss)"
  for seed in 1 2; do run $loss "$best" $seed; done
done
python "$collect" "$output"
