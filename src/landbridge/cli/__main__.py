"""`python -m landbridge.cli` is the `landbridge` command of this very Python."""

import sys

from landbridge.cli import main

sys.exit(main())
