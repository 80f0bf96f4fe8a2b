"""`rnnkit score`: how probable text is to a language model, or a translation to a translation model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError
from rnnkit.evaluation import mixture, scorer
from rnnkit.events import Listener, Note, Progress, Warned, ignore
from rnnkit.io.workspace import Workspace
from rnnkit.stages.evaluation.score.options import (
    CACHE_SIZE,
    MixtureWeights,
    ScoreOptions,
    check,
    check_model,
    check_translation,
)
from rnnkit.stages.evaluation.score.results import EOS_TEXT, LineScore, MixtureComponent, Summary, TokenScore
from rnnkit.stages.inference.decode.length_warnings import LineTally
from rnnkit.text.tokenizers.tokenizer import Tokenizer, read_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnnkit.evaluation.mixture import FittedMixture
    from rnnkit.evaluation.scorer import MatchedScorer, ScoredLines, Scorer

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


def run(options: ScoreOptions, listen: Listener = ignore) -> Iterator[LineScore | Summary]:
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


def _run(options: ScoreOptions, shares: MixtureWeights, listen: Listener) -> Iterator[LineScore | Summary]:
    from rnnkit.models import store
    from rnnkit.nn.device import choose_device, set_threads

    set_threads(options.threads)
    device = choose_device(options.device)
    if store.read_config(options.folder)["task"] == store.TASK:
        check_translation(options)
        yield from score_translations(options, device, listen)
        return
    main = scorer.open_scorer(options.folder, options.checkpoint, device)
    flatnesses = check_model(options, shares, neural=main.network is not None)
    opened = [scorer.open_scorer(path, "best", device) for path in shares.others]
    others = [scorer.match_models(main, other, listen) for other in opened]
    fitted = _fit(options, shares, main, others, flatnesses, listen)
    yield from _score(options, shares, main, others, fitted, listen)


def _fit(
    options: ScoreOptions,
    shares: MixtureWeights,
    main: Scorer,
    others: Sequence[MatchedScorer],
    flatnesses: Sequence[float],
    listen: Listener,
) -> FittedMixture:
    """The weights, given or found on the text to tune on."""
    import numpy as np

    if options.tune is None:
        weights_K = np.array([weight for weight in shares.given if weight is not None])
        return mixture.FittedMixture(weights_K, flatnesses[0] if flatnesses else None)
    models = mixture.components(options, main, others, flatnesses)
    held_out = scorer.read_text([options.tune], main)
    fitted = mixture.fit(models, held_out, others, shares, flatnesses, listen)
    names = mixture.names(shares, options)
    found = [f"{name} {weight:.4f}" for name, weight in zip(names, fitted.weights_K, strict=True)]
    found += [] if fitted.flatness is None or main.network is None else [f"flatness {fitted.flatness:g}"]
    listen(Note(f"fitted on {options.tune}: {', '.join(found)}; perplexity there {fitted.perplexity:,.2f}"))
    return fitted


def _score(
    options: ScoreOptions,
    shares: MixtureWeights,
    main: Scorer,
    others: Sequence[MatchedScorer],
    fitted: FittedMixture,
    listen: Listener,
) -> Iterator[LineScore | Summary]:
    import numpy as np

    from rnnkit.evaluation import interpolation
    from rnnkit.evaluation.language_scores import LanguageScore, measure
    from rnnkit.evaluation.perplexity import perplexity
    from rnnkit.evaluation.scored_text import UnknownWordCounter
    from rnnkit.text.special import UNK

    flatnesses = () if fitted.flatness is None else (fitted.flatness,)
    models = mixture.components(options, main, others, flatnesses)
    names = mixture.names(shares, options)
    total, sums_K, unknown_K = LanguageScore(), np.zeros(len(names)), np.zeros(len(models), dtype=np.int64)
    strange = UnknownWordCounter(main)
    for group in _groups(options, main):
        strange.add(group)
        texts = mixture.read(group, others)
        rows_KN = mixture.component_log_probs(models, texts)
        unknown_K += [np.count_nonzero(text.ids == UNK) for text in texts]
        log_p_N = interpolation.mix(rows_KN, fitted.weights_K)
        sums_K += rows_KN.sum(axis=1)
        if not options.summary:
            yield from _lines(group, log_p_N, total.lines, options.tokens)
        total += measure(group.text.ids, log_p_N, group.raw, len(group.text), group.reproduced)
        listen(Progress("score", total.lines))
    listen(Progress("score", total.lines, finished=True))
    for caution in total.cautions:
        listen(Warned(caution))
    strange.warn(listen)
    parts = [
        MixtureComponent(name, float(weight), perplexity(-float(summed) / total.tokens), unknown)
        for name, weight, summed, unknown in zip(
            names, fitted.weights_K, sums_K, [*unknown_K.tolist(), None][: len(names)], strict=True
        )
    ]
    cache = None if fitted.flatness is None else (options.cache_size or CACHE_SIZE, fitted.flatness)
    yield Summary(total, tuple(parts), cache)


def _groups(options: ScoreOptions, main: Scorer) -> Iterator[ScoredLines]:
    if options.aligned:
        folder = options.data or Workspace(options.work).data
        return scorer.read_data(folder, options.split or "test", main)
    return scorer.read_text(options.files, main)


def _lines(group: ScoredLines, log_p_N: FloatArray, before: int, with_tokens: bool) -> Iterator[LineScore]:
    """The scores of a group's lines, of which `before` came before."""
    from rnnkit.evaluation.language_scores import measure
    from rnnkit.text.special import UNK

    for number, tokens in enumerate(group.tokens):
        place = slice(int(group.text.offsets[number]), int(group.text.offsets[number + 1]))
        ids, log_p = group.text.ids[place], log_p_N[place]
        raw = None if group.raw is None else [group.raw[number]]
        reproduced = None if group.reproduced is None else [group.reproduced[number]]
        scored = None
        if with_tokens:
            each = zip([*tokens, EOS_TEXT], ids.tolist(), log_p.tolist(), strict=True)
            scored = tuple(TokenScore(text, row != UNK, value) for text, row, value in each)
        yield LineScore(before + number + 1, measure(ids, log_p, raw, 1, reproduced), scored)


if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

BLOCK_LINES = 2000
"""Lines that are sorted into batches together."""


def score_translations(options: ScoreOptions, device: torch.device, listen: Listener) -> Iterator[LineScore | Summary]:
    """Score a target file, given its source.

    Args:
        options: What was asked for; `files` are the two.
        device: Where the network goes.
        listen: Hears how far it is.

    Raises:
        DataError: A file is missing or no text, they have different numbers of lines, or none.
    """
    from rnnkit.decoding.lengths import longest_of
    from rnnkit.decoding.pair_scores import score_pairs
    from rnnkit.decoding.translator import Translator, encode
    from rnnkit.evaluation.language_scores import LanguageScore, measure
    from rnnkit.evaluation.perplexity import perplexity
    from rnnkit.models import store

    model = store.load(options.folder, options.checkpoint, device)
    translator = Translator((model,))
    longest = longest_of([store.longest_pair(options.folder, model.languages)])
    read, said, cut = longest.most_source - 1, longest.most_output - 1, LineTally()
    total = LanguageScore()
    for group in _paired_blocks(options.files[0], options.files[1], model.tokenizer):
        whole = [(model.tokenizer.tokenize(source), model.tokenizer.tokenize(target)) for source, target in group]
        # One line of noise would take hours, and memory by the square of its length.
        sources = [translator.encode(source[:read]) for source, _ in whole]
        tokens = [target[:said] for _, target in whole]
        # A token that the model can copy from this line's source is known.
        targets = [encode(model.target_vocabulary, line, own) for line, (_, own) in zip(tokens, sources, strict=True)]
        scores = score_pairs(translator, [ids for ids, _ in sources], targets, first_line=total.lines + 1)
        for place, (_, raw) in enumerate(group):
            ids = _with_eos(targets[place])
            if len(whole[place][0]) > read or len(whole[place][1]) > said:
                cut.add(total.lines + 1)
                raw = model.tokenizer.detokenize(tokens[place])
            reproduced = [scorer.detokenize_line(tokens[place], raw, model.tokenizer)]
            figures = measure(ids, scores[place], [raw], 1, reproduced)
            if not options.summary:
                shown = _target_token_scores(tokens[place], targets[place], scores[place]) if options.tokens else None
                yield LineScore(total.lines + 1, figures, shown)
            total += figures
        listen(Progress("score", total.lines))
    listen(Progress("score", total.lines, finished=True))
    for caution in total.cautions:
        listen(Warned(caution))
    if not total.lines:
        raise DataError(f"{options.files[0]} and {options.files[1]} are empty", "one sentence a line is expected")
    if cut.count:
        have = "1 line is" if cut.count == 1 else f"{cut.count:,} lines are"
        listen(
            Warned(
                f"{have} longer than what the model reads, four times the longest line of training and 100: only the "
                f"first {read:,} tokens of a source and {said:,} of a target count: {cut}"
            )
        )
    yield Summary(total, (MixtureComponent(str(options.folder), 1.0, perplexity(-total.log_p / total.tokens)),), None)


def _paired_blocks(source: Path, target: Path, tokenizer: Tokenizer) -> Iterator[list[tuple[str, str]]]:
    """Lines of both files side by side, some at a time."""
    lines = zip_longest(read_text(source, tokenizer), read_text(target, tokenizer))
    block: list[tuple[str, str]] = []
    for number, (left, right) in enumerate(lines, start=1):
        if left is None or right is None:
            short, other = (source, target) if left is None else (target, source)
            raise DataError(
                f"{short} ends with line {number - 1}, {other} has more", hint="a line of each must belong together"
            )
        block.append((left, right))
        if len(block) == BLOCK_LINES:
            yield block
            block = []
    if block:
        yield block


def _with_eos(ids: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    from rnnkit.text import special

    return np.array([*ids, special.EOS], dtype=np.int64)


def _target_token_scores(
    tokens: Sequence[str], ids: Sequence[int], log_p: NDArray[np.float64]
) -> tuple[TokenScore, ...]:
    from rnnkit.text.special import EOS, UNK

    each = zip([*tokens, EOS_TEXT], [*ids, EOS], log_p.tolist(), strict=True)
    return tuple(TokenScore(text, row != UNK, value) for text, row, value in each)
