"""`python -m landbridge.store.embedded DIRECTORY OPTIONS`: the supervisor, never typed by hand."""

import sys
from pathlib import Path

from landbridge.store.embedded._home import Options
from landbridge.store.embedded._supervisor import supervise

if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), Options.read(sys.argv[2])))
