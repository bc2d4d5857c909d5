"""`imagelist2lmdb.py` of the original system; see `face-analysis pack --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["pack", *sys.argv[1:]]))
