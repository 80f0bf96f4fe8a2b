"""`python -m rnnkit`: the `rnnkit` command."""

import os
import sys

if __name__ == "__main__":
    # `python -m` searches the current folder first, which must end before anything else is imported.
    here = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != here:
        del sys.path[0]

    from rnnkit.cli.start import main

    main()
