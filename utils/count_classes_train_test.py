"""`count_classes_train_test.py` of the original system: see face_analysis/cli/original_options.py."""

import sys

from face_analysis.cli.original import main

sys.exit(main("count_classes_train_test.py"))
