"""`feature_extraction.py` of the original system; see `face-analysis extract --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["extract", "--aligned", "--format", "original", *sys.argv[1:]]))
