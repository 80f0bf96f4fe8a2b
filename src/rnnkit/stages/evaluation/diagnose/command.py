"""`rnnkit diagnose`: measure the long-range memory of language models, by gradient flow or a recall task."""

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
    """Measure the gradient flow, or with `recall` the recall span of networks trained for the task.

    Raises:
        UsageError: Options cannot be combined.
        DataError: A model or the text is missing, or the text is too short.
        ArtefactError: A model has no recurrent state, or the picture exists.
        FormatError: A model is damaged.
        Interrupted: A signal arrived while networks were trained.
    """
    from rnnkit.nn.device import set_threads

    _check(options)
    set_threads(options.threads)
    return measure_recall(options, listen) if options.recall else measure_flow(options, listen)


def _check(options: DiagnoseOptions) -> None:
    """Check that the options can be combined, before anything is read."""
    if options.recall:
        unused = {"--output": options.output, "--text": options.text, "MODEL": options.models}
        for name in (name for name, value in unused.items() if value):
            raise UsageError(
                f"--recall cannot be combined with {name}", "it trains its own networks", option="--recall"
            )
        if sorted(set(options.spans)) != options.spans:
            raise UsageError("--spans must be strictly increasing", option="--spans")
        return
    if options.text is not None and options.data is not None:
        raise UsageError("--text and --data exclude each other", option="--text")
    if options.output is not None:
        check_output_file(options, options.output)
