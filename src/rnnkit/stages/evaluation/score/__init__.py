"""`rnnkit score`: log-probabilities and perplexity of text under a language or translation model."""

from rnnkit.stages.evaluation.score.command import EXAMPLE, run
from rnnkit.stages.evaluation.score.options import ScoreOptions
from rnnkit.stages.evaluation.score.results import LineScore, Summary

__all__ = ["EXAMPLE", "LineScore", "ScoreOptions", "Summary", "run"]
