"""The first lines of every command: nothing of the current folder runs, signals end it, a broken installation is named.

Until the command's own modules are imported there is nothing to save, so a signal ends the process in the usual way.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from rnnkit import installation, interpreter
from rnnkit.errors import visible


def main() -> NoReturn:
    """Run the command line of this process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    interpreter.protect()
    if interpreter.PARENT in os.environ:
        _end_with_parent(os.environ.pop(interpreter.PARENT))
    try:
        from rnnkit.cli import app
    except Exception as failure:
        broken = installation.explain(failure)
        if broken is None or "--debug" in sys.argv:
            raise
        sys.stderr.write(f"error: {visible(str(broken))}\n")
        sys.exit(1)
    sys.exit(app.run(sys.argv[1:]))


def _end_with_parent(parent: str) -> None:
    """Be ended when the process that started this one is gone, also where that was before this could be asked for."""
    from rnnkit.machine import end_with_parent

    end_with_parent()
    if parent != str(os.getppid()):
        sys.exit(128 + signal.SIGTERM)
