"""`rnnkit score`: how probable text is to a language model, or a translation to a translation model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rnnkit.events import Listener, Note, Progress, WarningEvent, null_listener
from rnnkit.io.workspace import Workspace
from rnnkit.stages.evaluation import score_inputs, score_mixture, score_translation
from rnnkit.stages.evaluation.score_options import (
    CACHE_SIZE,
    ScoreOptions,
    Shares,
    check,
    check_model,
    check_translation,
)
from rnnkit.stages.evaluation.score_results import END, LineScore, Part, Summary, Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.stages.evaluation.score_inputs import Lines, Matched, Scorer
    from rnnkit.stages.evaluation.score_mixture import Fitted

    FloatArray = NDArray[np.float64]

__all__ = ["EXAMPLE", "LineScore", "ScoreOptions", "Summary", "run"]

EXAMPLE = """\
rnnkit score test.txt --summary
rnnkit score --model work/lm --tokens < test.txt
rnnkit score test.txt --summary --interpolate work/counts:0.3 --interpolate work/other:0.3
rnnkit score test.txt --summary --cache --interpolate work/counts --tune valid.txt
rnnkit score test.txt --summary --dynamic --dynamic-rate 0.005
rnnkit score test.de test.en --model work/model --summary
rnnkit score --split test --json --output test.scores"""


def run(options: ScoreOptions, listen: Listener = null_listener) -> Iterator[LineScore | Summary]:
    """Score text; what is found comes as it is found.

    Yields:
        Each line's score, unless only the summary was asked for, and at the end the summary.

    Raises:
        UsageError: Options that do not go together, or that the model cannot do.
        DataError: A model or text is missing, a line cannot be read, or there is no line.
        ArtefactError: A model is for something else, or artefacts do not belong together.
        FormatError: A file is damaged.
        TrainingError: Dynamic evaluation took steps that were too long.
    """
    return _run(options, check(options), listen)


def _run(options: ScoreOptions, shares: Shares, listen: Listener) -> Iterator[LineScore | Summary]:
    from rnnkit.models import store
    from rnnkit.nn.device import choose_device, set_threads

    set_threads(options.threads)
    device = choose_device(options.device)
    if store.read_config(options.folder)["task"] == store.SEQ2SEQ:
        check_translation(options)
        yield from score_translation.score(options, device, listen)
        return
    main = score_inputs.open_scorer(options.folder, options.checkpoint, device)
    flatnesses = check_model(options, shares, neural=main.network is not None)
    opened = [score_inputs.open_scorer(path, "best", device) for path in shares.others]
    others = [score_inputs.match_models(main, other, listen) for other in opened]
    fitted = _fit(options, shares, main, others, flatnesses, listen)
    yield from _score(options, shares, main, others, fitted, listen)


def _fit(
    options: ScoreOptions,
    shares: Shares,
    main: Scorer,
    others: Sequence[Matched],
    flatnesses: Sequence[float],
    listen: Listener,
) -> Fitted:
    """The weights, given or found on the text to tune on."""
    import numpy as np

    if options.tune is None:
        weights_K = np.array([weight for weight in shares.given if weight is not None])
        return score_mixture.Fitted(weights_K, flatnesses[0] if flatnesses else None)
    models = score_mixture.components(options, main, others, flatnesses)
    held_out = score_inputs.read_text([options.tune], main)
    fitted = score_mixture.fit(models, held_out, others, shares, flatnesses, listen)
    names = score_mixture.names(shares, options)
    found = [f"{name} {weight:.4f}" for name, weight in zip(names, fitted.weights_K, strict=True)]
    found += [] if fitted.flatness is None or main.network is None else [f"flatness {fitted.flatness:g}"]
    listen(Note(f"fitted on {options.tune}: {', '.join(found)}; perplexity there {fitted.perplexity:,.2f}"))
    return fitted


def _score(
    options: ScoreOptions,
    shares: Shares,
    main: Scorer,
    others: Sequence[Matched],
    fitted: Fitted,
    listen: Listener,
) -> Iterator[LineScore | Summary]:
    import numpy as np

    from rnnkit.evaluation import interpolation
    from rnnkit.evaluation.language_scores import LanguageScore, measure
    from rnnkit.evaluation.perplexity import perplexity
    from rnnkit.stages.evaluation.score_unknown import UnknownWords
    from rnnkit.text.special_tokens import UNK

    flatnesses = () if fitted.flatness is None else (fitted.flatness,)
    models = score_mixture.components(options, main, others, flatnesses)
    names = score_mixture.names(shares, options)
    total, sums_K, unknown_K = LanguageScore(), np.zeros(len(names)), np.zeros(len(models), dtype=np.int64)
    strange = UnknownWords(main)
    for group in _groups(options, main):
        strange.add(group)
        texts = score_mixture.read(group, others)
        rows_KN = score_mixture.predict(models, texts)
        unknown_K += [np.count_nonzero(text.ids == UNK) for text in texts]
        log_p_N = interpolation.mix(rows_KN, fitted.weights_K)
        sums_K += rows_KN.sum(axis=1)
        if not options.summary:
            yield from _lines(group, log_p_N, total.lines, options.tokens)
        total += measure(group.text.ids, log_p_N, group.raw, len(group.text), group.reproduced)
        listen(Progress("score", total.lines))
    listen(Progress("score", total.lines, finished=True))
    for caution in total.cautions:
        listen(WarningEvent(caution))
    strange.warn(listen)
    parts = [
        Part(name, float(weight), perplexity(-float(summed) / total.tokens), unknown)
        for name, weight, summed, unknown in zip(
            names, fitted.weights_K, sums_K, [*unknown_K.tolist(), None][: len(names)], strict=True
        )
    ]
    cache = None if fitted.flatness is None else (options.cache_size or CACHE_SIZE, fitted.flatness)
    yield Summary(total, tuple(parts), cache)


def _groups(options: ScoreOptions, main: Scorer) -> Iterator[Lines]:
    if options.aligned:
        folder = options.data or Workspace(options.work).data
        return score_inputs.read_data(folder, options.split or "test", main)
    return score_inputs.read_text(options.files, main)


def _lines(group: Lines, log_p_N: FloatArray, before: int, with_tokens: bool) -> Iterator[LineScore]:
    """The scores of a group's lines, of which `before` came before."""
    from rnnkit.evaluation.language_scores import measure
    from rnnkit.text.special_tokens import UNK

    for number, tokens in enumerate(group.tokens):
        place = slice(int(group.text.offsets[number]), int(group.text.offsets[number + 1]))
        ids, log_p = group.text.ids[place], log_p_N[place]
        raw = None if group.raw is None else [group.raw[number]]
        reproduced = None if group.reproduced is None else [group.reproduced[number]]
        scored = None
        if with_tokens:
            each = zip([*tokens, END], ids.tolist(), log_p.tolist(), strict=True)
            scored = tuple(Token(text, row != UNK, value) for text, row, value in each)
        yield LineScore(before + number + 1, measure(ids, log_p, raw, 1, reproduced), scored)
