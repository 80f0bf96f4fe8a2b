"""Options that most commands have, declared once.

Such an option is a call that makes it, since each command's dataclass wants a field of its own and in its own place:
`work: Path = usual.work()`. What a command says otherwise it gives as to `option`: `usual.device(help="Where to
decode.")`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rnnkit.config import option
from rnnkit.errors import UsageError
from rnnkit.nn import kinds

work = partial(option, Path("work"), help="Workspace that paths not given are in.")
device = partial(option, "auto", panel="Optimisation", choices=kinds.DEVICES)
threads = partial(option, 0, help="CPU threads; 0: all cores.", panel="Optimisation", minimum=0)
repair = partial(
    option, False,
    help="Read imperfect files: repair or skip invalid UTF-8, duplicates, wrong counts, a missing final newline.",
    panel="Data",
)  # fmt: skip


def parse_weighted_model(text: str, flag: str) -> tuple[Path, float | None]:
    """Parse `MODEL[:WEIGHT]`. A colon that is not followed by a number belongs to the path.

    Args:
        text: The value.
        flag: The option that it is the value of.

    Raises:
        UsageError: The path is missing, or the weight is not between 0 and 1.
    """
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else None
    except ValueError:
        return Path(text), None
    if weight is None:
        path = text
    elif not 0 <= weight <= 1:
        raise UsageError(f"{flag} {text}: the weight must be between 0 and 1, got {number}", option=flag)
    if not path:
        raise UsageError(f"{flag} {text}: the model is missing", option=flag)
    return Path(path), weight
