#!/usr/bin/env bash
# Makes the model that comes with the package. Needs $FACE_ANALYSIS_DATA/utkface (images, train.txt, val.txt)
# and hours on a CPU.     recipes/attributes.sh OUTPUT_FOLDER
set -euo pipefail
output="$(realpath -m "$1")"
sface="$(face-analysis models path sface)"
cd "$FACE_ANALYSIS_DATA/utkface"

stage() { # OUTPUT PRETRAINED OPTIONS...
  face-analysis train --preset original -a race gender age --align -ts images -t train.txt -vs images -v val.txt -o "$1" --pretrained "$2" \
    --backbone mobilenet -b 64 --head_lr 10 --loss_weights 1 2 0.1 --class_weight_power 0 --dropout 0.3 --jitter 0.5 --degrade 0.5 \
    --validations 1 -w 1 --model_licence "research, non-commercial (UTKFace)" "${@:3}"
}

# All but the first layer learn; then, from the third block on, an average over a steady rate; then it is brought to rest.
stage "$output/1" "$sface" --freeze 0 -e 14 -lr 0.03 --lr_cosine --ema 0.995
stage "$output/2" "$output/1/model.safetensors" --freeze 3 -e 8 -lr 0.01 --lr_steps 99 --ema 0.999 --seed 1
stage "$output/3" "$output/2/model.safetensors" --freeze 3 -e 6 -lr 0.01 --lr_cosine --ema 0.999 --label_smoothing 0.05 --seed 2

face-analysis calibrate -m "$output/3/model.safetensors" -s images -i val.txt --align --mirror -d "$output/calibrated" --name attributes \
  --training_data "16,687 photos of UTKFace, 144x144; backbone started from SFace (Zhong et al. 2021)"

# The package takes it in as src/face_analysis/zoo/weights/attributes.safetensors, its hash as ATTRIBUTES_SHA256.
sha256sum "$output/calibrated/model.safetensors"
