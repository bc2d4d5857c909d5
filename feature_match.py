"""`feature_match.py` of the original system; see `face-analysis match --help`."""

import sys

from face_analysis.cli.main import run

sys.exit(run(["feature_match", *sys.argv[1:]]))
