"""The command line: parse, call a stage, print. Nothing else in the project prints."""

import sys

from rnnkit.system import interpreter

# Here and not in `main`: the imports that lead there would fail first.
if (_refusal := interpreter.unsupported_platform()) is not None:
    sys.exit(f"error: {_refusal}")
