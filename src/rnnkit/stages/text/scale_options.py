"""Options of commands that part their work among processes and machines: `tokenize`, `vocab`, `align`."""

from __future__ import annotations

from functools import partial

from rnnkit.options.declare import option

processes = partial(
    option, 1, help="Processes that share the work; 0 is one a core. The result is the same.", unit="processes",
    minimum=0, panel="Scale",
)  # fmt: skip
shard = partial(option, None, metavar="I/N", panel="Scale")
merge = partial(option, False, panel="Scale")
