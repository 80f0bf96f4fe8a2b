"""Options that several commands share.

Each name is a factory: `work: Path = shared.work()` declares the field in a command's options class, at the position
where the help page shows it. A keyword overrides what `option` would get: `shared.device(help="Device for decoding.")`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rnnkit.errors import UsageError
from rnnkit.nn import kinds
from rnnkit.options.declare import option

work = partial(option, Path("work"), help="Directory for default inputs and outputs.")
device = partial(
    option, "auto", help="Compute device; auto: the GPU if there is one.", panel="Optimization", choices=kinds.DEVICES
)
threads = partial(option, 0, help="CPU threads; 0 uses all cores.", panel="Optimization", minimum=0)
repair = partial(
    option, False,
    help="Read imperfect files: repair or skip invalid UTF-8, duplicates, wrong counts, a missing final newline.",
    panel="Data",
)  # fmt: skip

vectors = partial(
    option, None, help="Vectors directory, or a word2vec, fastText or GloVe file.", shown_default="WORK/embeddings"
)
restrict = partial(
    option, None, help="Search only this many of the most frequent words.", panel="Search", unit="words", minimum=1,
    shown_default="all",
)  # fmt: skip

processes = partial(
    option, 1, help="Worker processes; 0 starts one per core. The output does not depend on it.", unit="processes",
    minimum=0, panel="Parallel processing",
)  # fmt: skip
shard = partial(option, None, metavar="I/N", panel="Parallel processing")
merge = partial(option, False, panel="Parallel processing")


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
