"""`rnnkit diagnose`: gradient flow and recall span, two measures of a language model's long-range memory."""

from rnnkit.stages.evaluation.diagnose.command import EXAMPLE, run
from rnnkit.stages.evaluation.diagnose.gradient_report import FlowResult
from rnnkit.stages.evaluation.diagnose.options import DiagnoseOptions
from rnnkit.stages.evaluation.diagnose.recall_report import RecallResult

__all__ = ["EXAMPLE", "DiagnoseOptions", "FlowResult", "RecallResult", "run"]
