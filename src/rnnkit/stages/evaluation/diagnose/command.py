"""`rnnkit diagnose`: how far back a language model looks, as gradient flow or by a task of recall."""

from __future__ import annotations

from rnnkit.errors import UsageError
from rnnkit.events import Listener, null_listener
from rnnkit.stages.evaluation.diagnose.gradient_report import FlowResult, measure_flow
from rnnkit.stages.evaluation.diagnose.options import DiagnoseOptions
from rnnkit.stages.evaluation.diagnose.recall_report import RecallResult, measure_recall
from rnnkit.stages.outputs import check_output_file

__all__ = ["EXAMPLE", "DiagnoseOptions", "FlowResult", "RecallResult", "run"]

EXAMPLE = """\
rnnkit diagnose work/rnn work/lstm --text valid.txt --output flow.png
rnnkit diagnose --by input work/lstm work/transformer
rnnkit diagnose --arch rnn gru lstm --start uniform
rnnkit diagnose --recall --arch rnn lstm"""


def run(options: DiagnoseOptions, listen: Listener = null_listener) -> FlowResult | RecallResult:
    """Look at gradients, or with `recall` train networks that remember.

    Raises:
        UsageError: Options that do not go together.
        DataError: There is no model or no text, or the text is too short.
        ArtefactError: A model has no chain of states, or the picture already exists.
        FormatError: A model is damaged.
        Interrupted: A signal came while networks were trained.
    """
    from rnnkit.nn.device import set_threads

    _check(options)
    set_threads(options.threads)
    return measure_recall(options, listen) if options.recall else measure_flow(options, listen)


def _check(options: DiagnoseOptions) -> None:
    """Refuse what does not go together before anything is read."""
    if options.recall:
        given = {"--output": options.output, "--text": options.text, "MODEL": options.models}
        for name in (name for name, value in given.items() if value):
            raise UsageError(f"--recall trains networks of its own and has no use for {name}")
        if sorted(set(options.spans)) != options.spans:
            raise UsageError("--spans wants spans from the shortest to the longest, each once")
        return
    if options.text is not None and options.data is not None:
        raise UsageError("--text and --data: one text is read, not two")
    if options.output is not None:
        check_output_file(options, options.output)
