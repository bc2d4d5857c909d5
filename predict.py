"""`predict.py` of the original system, which wrote text; see `face-analysis predict --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["predict", "--aligned", "--format", "original", *sys.argv[1:]]))
