#!/usr/bin/env bash
# False matches and false non-matches of SFace on LFW by race and gender, as the model of the package predicts them.
# Needs $FACE_ANALYSIS_DATA/lfw/images and some ten minutes on a core.     recipes/demographics_lfw.sh OUTPUT_FOLDER
set -euo pipefail
output="$(realpath -m "$1")"
mkdir -p "$output"
cd "$output"

face-analysis align "$FACE_ANALYSIS_DATA/lfw/images" chips --faces centre
face-analysis predict -s chips --aligned --format original -d predictions
face-analysis extract -i predictions/chips_predictions.txt --aligned -d features
face-analysis match features -o match --subject PUBLIC_IVS --group race gender --fmr 1e-3 | tee match.md
face-analysis report match -d report --predicted
face-analysis search features features -o search --subject PUBLIC_IVS

# results/demographics_lfw holds match.md, of report/ rates.csv, group_rates.csv, scores.csv and demographics.json, and
# of search/ identification.csv and .md; docs/demographics the figures.
