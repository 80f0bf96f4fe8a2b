"""The first lines of every command: nothing of the current folder runs, signals end it, a broken installation is named.

Until the command's own modules are imported there is nothing to save, so a signal ends the process in the usual way.
Python's own reaction to Ctrl-C, a traceback, ends with the first line of `main`; it imports what it needs behind that.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process; exits."""
    import _signal  # type: ignore[import-not-found, unused-ignore]  # the part of `signal` that is built in

    for number in (_signal.SIGINT, _signal.SIGTERM):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    import os
    import sys

    from rnnkit.errors import escape_control
    from rnnkit.system import interpreter

    interpreter.protect_imports()
    if interpreter.PARENT_VARIABLE in os.environ:
        _end_with_parent(os.environ.pop(interpreter.PARENT_VARIABLE))
    try:
        from rnnkit.cli import app
    except Exception as failure:
        broken = interpreter.explain_import_failure(failure)
        if broken is None or "--debug" in sys.argv:
            raise
        sys.stderr.write(f"error: {escape_control(str(broken))}\n")
        sys.exit(1)
    sys.exit(app.run(sys.argv[1:]))


def _end_with_parent(parent: str) -> None:
    """Be ended when the process that started this one is gone, also where that was before this could be asked for."""
    import os
    import sys

    from rnnkit.system.machine import terminate_with_parent

    terminate_with_parent()
    if parent != str(os.getppid()):
        sys.exit(143)
