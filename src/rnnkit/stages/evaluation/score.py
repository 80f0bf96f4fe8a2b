"""`rnnkit score`: log-probabilities and perplexity of text under a language or translation model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.errors import DataError
from rnnkit.evaluation import lm_scorer
from rnnkit.evaluation.lm_scorer import open_scorer
from rnnkit.events import Listener, Note, Progress, Status, WarningEvent, null_listener
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.stages.evaluation.score_options import (
    CACHE_SIZE,
    MixtureWeights,
    ScoreOptions,
    check,
    check_model,
    check_translation,
    dynamic_settings,
)
from rnnkit.stages.inference.translation_outputs import LineTally
from rnnkit.text.special_tokens import EOS, UNK

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from rnnkit.decoding.rescoring import SentencePair
    from rnnkit.decoding.translator import TranslationEnsemble
    from rnnkit.evaluation.interpolation import FittedMixture, Mixture
    from rnnkit.evaluation.lm_metrics import LMScore, TokenScore
    from rnnkit.evaluation.lm_scorer import ScoredLines, Scorer

    FloatArray = NDArray[np.float64]


EXAMPLE = """\
rnnkit score test.txt --summary
rnnkit score --model work/lm --tokens < test.txt
rnnkit score test.txt --summary --interpolate work/counts:0.3 --interpolate work/other:0.3
rnnkit score test.txt --summary --cache --interpolate work/counts --tune valid.txt
rnnkit score test.txt --summary --dynamic --dynamic-rate 0.005
rnnkit score test.de test.en --model work/model --summary
rnnkit score --split test --json --output test.scores"""


EOS_TEXT = "</s>"
"""How EOS is printed."""


@dataclass(frozen=True)
class LineScore:
    """Log-probability of a line.

    Attributes:
        number: Line number, from 1.
        score: Sums over the line.
        tokens: Scores of its tokens; None if not requested.
    """

    number: int
    score: LMScore
    tokens: tuple[TokenScore, ...] | None

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form: if requested, a line for each token; the scores of the line; then a blank line."""
        from rnnkit.evaluation.lm_metrics import logarithms

        line = "\t".join([*logarithms(self.score.log_p), str(self.score.tokens), str(self.score.unknown)])
        return (line,) if self.tokens is None else (*(token.line for token in self.tokens), line, "")

    def as_dict(self) -> JsonObject:
        """JSON form."""
        shown = ("tokens", "unknown", "log10", "ln", "perplexity")
        figures = self.score.as_dict()
        found = {"line": self.number, **{name: figures[name] for name in shown}}
        if self.tokens is not None:
            found["token_scores"] = [token.as_dict() for token in self.tokens]
        return found


@dataclass(frozen=True)
class MixtureSummary:
    """A component of an interpolated model.

    Attributes:
        name: The model directory, or `cache`.
        weight: Interpolation weight.
        perplexity: Perplexity of the text under this component alone.
        unknown: Tokens that it encodes as `<unk>`; None for the cache.
    """

    name: str
    weight: float
    perplexity: float
    unknown: int | None = None


@dataclass(frozen=True)
class Summary:
    """Scores of the whole text.

    Attributes:
        score: Sums over the text, and the figures derived from them.
        parts: The interpolated components; a single one without interpolation.
        cache: Size and flatness of the cache; None without one.
    """

    score: LMScore
    parts: tuple[MixtureSummary, ...]
    cache: tuple[int, float] | None

    @property
    def lines(self) -> list[str]:
        """Printed form."""
        from rnnkit.reports.figures import format_columns

        score = self.score
        rows = [
            ("lines", f"{score.lines:,}"),
            ("tokens, EOS included", f"{score.tokens:,}"),
            ("unknown tokens", f"{score.unknown:,}"),
            ("perplexity", f"{score.perplexity:,.2f}"),
            ("perplexity without unknown tokens", f"{score.known_perplexity:,.2f}"),
            ("nats per token", f"{score.nats_per_token:.4f}"),
            ("bits per token", f"{score.bits_per_token:.4f}"),
        ]
        if score.impossible:
            rows.insert(3, ("tokens of probability zero", f"{score.impossible:,}"))
        if score.characters is not None:
            rows += [
                ("bits per character", f"{score.bits_per_character:.4f}"),
                ("bits per byte", f"{score.bits_per_byte:.4f}"),
            ]
            if score.cautions:
                rows += [
                    ("bits per character of the raw text", f"{score.raw_bits_per_character:.4f}"),
                    ("bits per byte of the raw text", f"{score.raw_bits_per_byte:.4f}"),
                ]
        return [*format_columns(rows, right=[1]), *self._mixture()]

    def _mixture(self) -> list[str]:
        from rnnkit.reports.figures import format_columns

        if len(self.parts) == 1:
            return []
        heading = ("component", "weight", "perplexity alone", "unknown tokens")
        rows = [
            (part.name, f"{part.weight:.4f}", f"{part.perplexity:,.2f}", f"{part.unknown or 0:,}")
            for part in self.parts
        ]
        columns = 4 if len({part.unknown for part in self.parts if part.unknown is not None}) > 1 else 3
        found = format_columns([row[:columns] for row in (heading, *rows)], right=[1, 2, 3][: columns - 1])
        if self.cache is not None:
            found.append(f"the cache holds {self.cache[0]:,} tokens, flatness {self.cache[1]:g}")
        return found

    def as_dict(self) -> JsonObject:
        """JSON form."""
        from rnnkit.evaluation.lm_metrics import finite

        parts = [
            {
                "name": part.name,
                "weight": part.weight,
                "perplexity": finite(part.perplexity),
                **({} if part.unknown is None or len(self.parts) == 1 else {"unknown": part.unknown}),
            }
            for part in self.parts
        ]
        cache = None if self.cache is None else {"size": self.cache[0], "flatness": self.cache[1]}
        return {"summary": {**self.score.as_dict(), **self.score.raw_dict(), "mixture": parts, "cache": cache}}


def run(options: ScoreOptions, listen: Listener = null_listener) -> Iterator[LineScore | Summary]:
    """Score text and yield the results as they are computed.

    Yields:
        The score of each line, unless only the summary is requested; finally the summary.

    Raises:
        UsageError: Options are incompatible with each other or with the model.
        DataError: A model or text is missing, a line cannot be read, or the text is empty.
        ArtefactError: A model is of the wrong kind, or artefacts do not match.
        FormatError: A file is damaged.
        TrainingError: Dynamic evaluation diverged.
    """
    return _run(options, check(options), listen)


def _run(options: ScoreOptions, weights: MixtureWeights, listen: Listener) -> Iterator[LineScore | Summary]:
    from rnnkit.evaluation import interpolation
    from rnnkit.models import store
    from rnnkit.nn.device import choose_device, set_threads

    set_threads(options.threads)
    listen(Status("loading the model"))
    device = choose_device(options.device)
    if store.read_config(options.folder)["task"] == store.SEQ2SEQ:
        check_translation(options)
        yield from score_translations(options, device, listen)
        return
    main = open_scorer(options.folder, options.checkpoint, device)
    flatnesses = check_model(options, weights, neural=main.network is not None)
    opened = [open_scorer(path, "best", device) for path in weights.others]
    models = interpolation.Mixture(
        main,
        tuple(interpolation.match_models(main, other, listen) for other in opened),
        cache_size=(options.cache_size or CACHE_SIZE) if options.cache else None,
        dynamic=dynamic_settings(options) if options.dynamic else None,
    )
    fitted = _fit(options, weights, models, flatnesses, listen)
    yield from _score_text(options, models, fitted, listen)


def _fit(
    options: ScoreOptions, weights: MixtureWeights, models: Mixture, flatnesses: Sequence[float], listen: Listener
) -> FittedMixture:
    """Return the interpolation weights: those given, or fitted on the held-out text of `--tune`."""
    import numpy as np

    from rnnkit.evaluation import interpolation

    if options.tune is None:
        weights_K = np.array([weight for weight in weights.given if weight is not None])
        return interpolation.FittedMixture(weights_K, flatnesses[0] if flatnesses else None)
    held_out = lm_scorer.read_text([options.tune], models.main)
    fitted = interpolation.fit_mixture(models, held_out, weights.given, flatnesses, listen)
    found = [f"{name} {weight:.4f}" for name, weight in zip(models.names, fitted.weights_K, strict=True)]
    found += [] if fitted.flatness is None or models.main.network is None else [f"flatness {fitted.flatness:g}"]
    listen(Note(f"fitted on {options.tune} (perplexity {fitted.perplexity:,.2f}): {', '.join(found)}"))
    return fitted


def _score_text(
    options: ScoreOptions, models: Mixture, fitted: FittedMixture, listen: Listener
) -> Iterator[LineScore | Summary]:
    import numpy as np

    from rnnkit.evaluation import interpolation
    from rnnkit.evaluation.lm_metrics import LMScore, measure
    from rnnkit.evaluation.perplexity import perplexity

    components = models.start(() if fitted.flatness is None else (fitted.flatness,))
    names = models.names
    total, sums_K, unknown_K = LMScore(), np.zeros(len(names)), np.zeros(len(components), dtype=np.int64)
    unknown_words = lm_scorer.UnknownWordCounter(models.main)
    for block in _read_blocks(options, models.main):
        unknown_words.add(block)
        texts = models.encode(block)
        log_p_KN = interpolation.component_log_probs(components, texts)
        unknown_K += [np.count_nonzero(text.ids == UNK) for text in texts]
        log_p_N = interpolation.interpolate(log_p_KN, fitted.weights_K)
        sums_K += log_p_KN.sum(axis=1)
        if not options.summary:
            yield from _line_scores(block, log_p_N, total.lines, options.tokens)
        total += measure(block.text.ids, log_p_N, block.raw, len(block.text), block.detokenized)
        listen(Progress("score", total.lines))
    _finish(total, listen)
    unknown_words.warn(listen)
    # The cache, last of the components, has no vocabulary.
    unknown = [*unknown_K.tolist(), None][: len(names)]
    perplexities = [perplexity(-float(sum_log_p) / total.tokens) for sum_log_p in sums_K]
    parts = map(MixtureSummary, names, map(float, fitted.weights_K), perplexities, unknown)
    cache = None if models.cache_size is None or fitted.flatness is None else (models.cache_size, fitted.flatness)
    yield Summary(total, tuple(parts), cache)


def _finish(total: LMScore, listen: Listener) -> None:
    listen(Progress("score", total.lines, finished=True))
    for caution in total.cautions:
        listen(WarningEvent(caution))


def _read_blocks(options: ScoreOptions, main: Scorer) -> Iterator[ScoredLines]:
    if options.aligned:
        folder = options.data or Workspace(options.work).data
        return lm_scorer.read_data(folder, options.split or "test", main)
    return lm_scorer.read_text(options.files, main)


def _line_scores(block: ScoredLines, log_p_N: FloatArray, before: int, with_tokens: bool) -> Iterator[LineScore]:
    """Yield the scores of the lines of a block that starts after `before` lines."""
    from rnnkit.evaluation.lm_metrics import measure

    for row, tokens in enumerate(block.tokens):
        span = slice(int(block.text.offsets[row]), int(block.text.offsets[row + 1]))
        ids, log_p = block.text.ids[span], log_p_N[span]
        raw = None if block.raw is None else [block.raw[row]]
        detokenized = None if block.detokenized is None else [block.detokenized[row]]
        scored = _token_scores(tokens, ids.tolist(), log_p) if with_tokens else None
        yield LineScore(before + row + 1, measure(ids, log_p, raw, 1, detokenized), scored)


def _token_scores(tokens: Sequence[str], ids: Sequence[int], log_p: FloatArray) -> tuple[TokenScore, ...]:
    """Return the scores of a line's tokens; `ids` and `log_p` include EOS."""
    from rnnkit.evaluation.lm_metrics import TokenScore

    each = zip([*tokens, EOS_TEXT], ids, log_p.tolist(), strict=True)
    return tuple(TokenScore(text, token_id != UNK, value) for text, token_id, value in each)


def score_translations(options: ScoreOptions, device: torch.device, listen: Listener) -> Iterator[LineScore | Summary]:
    """Score a target file, given its source, with teacher forcing.

    Args:
        options: The options; `files` are the source and the target.
        device: Device of the network.
        listen: Receives progress and warnings.

    Raises:
        DataError: A file is missing or is not text, or the files are empty or differ in length.
    """
    from rnnkit.decoding.rescoring import read_pairs, tokenize_pair
    from rnnkit.decoding.stepper import max_training_lengths
    from rnnkit.decoding.translator import TranslationEnsemble
    from rnnkit.evaluation.lm_metrics import LMScore
    from rnnkit.evaluation.perplexity import perplexity
    from rnnkit.models import store

    model = store.load_seq2seq(options.folder, options.checkpoint, device)
    translator = TranslationEnsemble((model,))
    longest = max_training_lengths([store.training_max_lengths(options.folder, model.languages)])
    most = longest.max_source_length - 1, longest.max_output_length - 1  # without EOS
    total, truncated = LMScore(), LineTally()
    for block in read_pairs(options.files[0], options.files[1], model.tokenizer):
        pairs = [tokenize_pair(source, target, model.tokenizer, most) for source, target in block]
        for pair, score in zip(pairs, _score_pairs(translator, pairs, total.lines + 1, options.tokens), strict=True):
            if pair.truncated:
                truncated.add(total.lines + 1)
            if not options.summary:
                yield score
            total += score.score
        listen(Progress("score", total.lines))
    _finish(total, listen)
    if not total.lines:
        raise DataError(
            f"{options.files[0]} and {options.files[1]} are empty",
            "expected one sentence per line",
            path=options.files[0],
        )
    if truncated.count:
        have = "1 line exceeds" if truncated.count == 1 else f"{truncated.count:,} lines exceed"
        listen(
            WarningEvent(
                f"{have} the maximum length, four times the longest training line plus 100 tokens: only the first "
                f"{most[0]:,} tokens of a source and {most[1]:,} of a target are scored: {truncated}"
            )
        )
    parts = (MixtureSummary(str(options.folder), 1.0, perplexity(-total.log_p / total.tokens)),)
    yield Summary(total, parts, None)


def _score_pairs(
    translator: TranslationEnsemble, pairs: Sequence[SentencePair], first_line: int, with_tokens: bool
) -> Iterator[LineScore]:
    import numpy as np

    from rnnkit.decoding.rescoring import score_pairs
    from rnnkit.decoding.translator import encode_tokens
    from rnnkit.evaluation.lm_metrics import measure

    model = translator.main
    sources = [translator.encode(pair.source) for pair in pairs]
    # A token that the model can copy from the source of its line is not unknown.
    targets = [
        encode_tokens(model.target_vocabulary, pair.target, own) for pair, (_, own) in zip(pairs, sources, strict=True)
    ]
    scores = score_pairs(translator, [ids for ids, _ in sources], targets, first_line=first_line)
    for number, (pair, ids, log_p) in enumerate(zip(pairs, targets, scores, strict=True), start=first_line):
        with_eos = np.array([*ids, EOS], dtype=np.int64)
        detokenized = lm_scorer.detokenize_line(pair.target, pair.raw_target, model.tokenizer)
        figures = measure(with_eos, log_p, [pair.raw_target], 1, [detokenized])
        yield LineScore(number, figures, _token_scores(pair.target, [*ids, EOS], log_p) if with_tokens else None)
