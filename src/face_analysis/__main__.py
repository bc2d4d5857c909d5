"""`python -m face_analysis` is the command `face-analysis`."""

import sys

from face_analysis.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
