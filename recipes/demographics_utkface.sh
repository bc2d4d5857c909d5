#!/usr/bin/env bash
# False matches of SFace on UTKFace: of all images by age, and of adults by race and gender. The set does not say who is
# who, so every image is taken for a person of their own, and copies are left out before.
# Needs $FACE_ANALYSIS_DATA/utkface and some fifteen minutes on a core.     recipes/demographics_utkface.sh OUTPUT_FOLDER
set -euo pipefail
output="$(realpath -m "$1")"
mkdir -p "$output"
cd "$FACE_ANALYSIS_DATA/utkface"

face-analysis audit train.txt val.txt -s images -d "$output/audit" --fix majority
(cd "$output/audit/cleaned" && cat train.csv && tail -n +2 val.csv) > "$output/all.csv"
awk -F, 'NR == 1 || ($4 >= 20 && $4 < 60)' "$output/all.csv" > "$output/adults.csv" # path,race,gender,age

matched() { # NAME GROUPS...
  face-analysis extract -s images -i "$output/$1.csv" --faces centre -d "$output/$1/features"
  face-analysis match "$output/$1/features" -o "$output/$1/match" --subject path --group "${@:2}" --fmr 1e-3 | tee "$output/$1/match.md"
  face-analysis report "$output/$1/match" -d "$output/$1/report"
}
matched all age
matched adults race gender

# results/demographics_utkface holds of both match.md, and of report/ rates.csv, group_rates.csv, scores.csv and
# demographics.json; docs/demographics the figures.
