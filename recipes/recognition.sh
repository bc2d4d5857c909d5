#!/usr/bin/env bash
# Recognition from scratch on CelebA's folders of people: ArcFace, CosFace and plain softmax with the same budget, three seeds each.
# A tenth of the people is kept out to choose the epoch by; LFW judges. Needs $FACE_ANALYSIS_DATA/celeba and lfw, and some hours on
# two cores; run again, it goes on where it was stopped.     recipes/recognition.sh OUTPUT_FOLDER [EPOCHS] [SEEDS ...]
set -euo pipefail
output="$(realpath -m "$1")"
epochs="${2:-15}"
if [[ $# -gt 2 ]]; then seeds=("${@:3}"); else seeds=(0 1 2); fi
lfw="$FACE_ANALYSIS_DATA/lfw"

run() { # HEAD SEED
  local folder="$output/$1_$2" resume=(--overwrite)
  if [[ ! -f "$folder/model.safetensors" ]]; then
    if [[ -f "$folder/checkpoints/last.ckpt" ]]; then resume=(--resume "$folder"); fi
    face-analysis train --preset original -a recognition --head "$1" --seed "$2" -o "$folder" "${resume[@]}" \
      -ts "$output/chips" -t "$output/lists/train.csv" -vs "$output/sets" -v celeba_val \
      --depth 18 --width 0.125 --embedding_size 128 --dropout 0.2 -e "$epochs" -b 64 -lr 0.1 --lr_cosine \
      --scale 32 --margin_warmup "$((epochs / 3))" --jitter 0.5 --validations 1 -w 0 \
      --model_licence "as CelebA: non-commercial research"
  fi
  face-analysis evaluate --verification lfw celeba_val -s "$output/sets" -m "$folder/model.safetensors" -d "$folder/judged" --overwrite
}

if [[ ! -d "$output/sets/lfw" ]]; then
  face-analysis align "$FACE_ANALYSIS_DATA/celeba" "$output/chips" --faces centre --whole --resume
  { echo path,subject; tail -n +2 "$output/chips/chips.csv" | awk -F/ '{ print $0 "," $1 }'; } > "$output/people.csv"
  face-analysis annotations split "$output/people.csv" -d "$output/lists" --shares 0.9 0.1 --names train val --by subject --overwrite
  face-analysis pairs build --protocol people -s "$output/chips" --pairs "$output/lists/val.csv" -d "$output/sets" -n celeba_val --overwrite
  face-analysis pairs build --protocol lfw -s "$lfw/images" --pairs "$lfw/pairs.txt" -d "$output/sets" --overwrite
fi
for seed in "${seeds[@]}"; do
  for head in arcface cosface softmax; do run $head $seed; done
done
PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" python -m benchmarks.recognition_runs "$output"
