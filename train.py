"""`train.py` of the original system; see `face-analysis train --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["train", *sys.argv[1:]]))
