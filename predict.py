"""`predict.py` of the original system: see face_analysis/cli/original_options.py."""

import sys

from face_analysis.cli.original import main

sys.exit(main("predict.py"))
