"""`folder2lmdb.py` of the original system; see `face-analysis pack --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["pack", "--attribute", "recognition", *sys.argv[1:]]))
