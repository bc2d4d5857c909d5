#!/usr/bin/env bash
# Makes the model that comes with the package. Needs $FACE_ANALYSIS_DATA/utkface (images, train.txt, val.txt)
# and hours on a CPU.     recipes/attributes.sh OUTPUT_FOLDER
set -euo pipefail
output="$(realpath -m "$1")"
sface="$(face-analysis models path sface)"
cd "$FACE_ANALYSIS_DATA/utkface"

face-analysis train -a race gender age --align -ts images -t train.txt -vs images -v val.txt -o "$output/train" \
  --backbone mobilenet --pretrained "$sface" --freeze 0 \
  -e 14 -b 64 -lr 0.03 --lr_cosine --head_lr 10 --loss_weights 1 2 0.1 --class_weight_power 0 \
  --dropout 0.3 --ema 0.995 --jitter 0.5 --degrade 0.5 \
  --validations 1 -w 1 --model_licence "research, non-commercial (UTKFace)"

face-analysis calibrate -m "$output/train/model.safetensors" -s images -i val.txt --align -d "$output/calibrated" --name attributes \
  --training_data "16,687 photos of UTKFace, 144x144; backbone started from SFace (Zhong et al. 2021)"

# The package takes it in as src/face_analysis/zoo/weights/attributes.safetensors, its hash as ATTRIBUTES_SHA256.
sha256sum "$output/calibrated/model.safetensors"
