"""`python3 -m rehearsal COMMAND ARGUMENTS`."""

import sys

from .main import cli

cli(sys.argv[1:])
