"""`rnnkit align`: tokens to ids."""

from rnnkit.stages.text.align.command import EXAMPLE, run
from rnnkit.stages.text.align.options import AlignOptions, AlignResult

__all__ = ["EXAMPLE", "AlignOptions", "AlignResult", "run"]
