"""`prepare_test_sets.py` of the original system; see `face-analysis pairs build --help`."""

import sys

from face_analysis.cli.main import main

sys.exit(main(["pairs", "build", *sys.argv[1:]]))
