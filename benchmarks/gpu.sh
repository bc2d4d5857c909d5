#!/usr/bin/env bash
# The tests and measurements that need a GPU, in eight minutes at most: benchmarks/gpu.sh [--dry_run]
# It uses a python that has this package with its extra `dev`, or makes an environment of its own.
# It writes results/gpu_tests.csv, gpu_inference.csv and gpu_training.csv; a dry run writes to a new folder.
set -euo pipefail
cd "$(dirname "$0")/.."
LIMIT=480
OUTPUT=results
[ "${1:-}" = --dry_run ] && OUTPUT=$(mktemp -d)
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c "import torch, pytest, lightning_fabric, skimage" 2>/dev/null; then
  # A torch that the machine has is taken; it may have been built for its GPU.
  "$PYTHON" -m venv --system-site-packages .venv-gpu
  PYTHON=.venv-gpu/bin/python
  "$PYTHON" -m pip install --quiet --editable '.[dev]'
fi
[ "$OUTPUT" = results ] && "$PYTHON" -c "import torch; assert torch.cuda.is_available(), 'torch sees no GPU'"
REPORT=$(mktemp)
timeout 150 "$PYTHON" -m pytest -q tests/gpu --junitxml "$REPORT" || echo "not all tests for GPUs passed" >&2
LEFT=$(((LIMIT - SECONDS - 60) / 60))
[ -s "$REPORT" ] && TESTS=(--tests "$REPORT") || TESTS=()
timeout $((LIMIT - SECONDS)) "$PYTHON" -m benchmarks.gpu --minutes "$LEFT" --output "$OUTPUT" "${TESTS[@]}" "$@"
