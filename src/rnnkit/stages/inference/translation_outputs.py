"""Outputs of translation models in `decode`: texts, JSON, alignment links, attention maps, and warnings of lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rnnkit.errors import DataError, UsageError
from rnnkit.events import Listener, Note, Status, WarningEvent
from rnnkit.io.resumable_output import resumable_file
from rnnkit.json_types import JsonObject
from rnnkit.stages import shared_options as shared
from rnnkit.stages.inference.decode_checks import check_attention, check_directions
from rnnkit.stages.inference.decode_options import (
    FUSION_WEIGHT,
    TRANSLATION_BEAM,
    DecodeOptions,
    lines_ahead,
    sampling_options,
    search_options,
)
from rnnkit.text.special_tokens import NAMES

if TYPE_CHECKING:
    from rnnkit.decoding import translate as translation
    from rnnkit.decoding.constraints import ConstrainedSource
    from rnnkit.decoding.stepper import SearchOptions, TrainingLengths
    from rnnkit.decoding.translate import TranslatedLine
    from rnnkit.decoding.translator import TranslationEnsemble
    from rnnkit.reports.attention_map import AttentionMapWriter
    from rnnkit.stages.inference.decode_resume import RecordedOutput


Outputs = Iterator[tuple[tuple[str, ...], JsonObject]]
"""For each input line, the output lines and the JSON facts."""


def translate(options: DecodeOptions, recorded: RecordedOutput | None, listen: Listener) -> Outputs:
    """Translate, and write alignment links and attention maps if they are requested.

    Args:
        options: The options.
        recorded: Record of the output file, if it has one; lines that an earlier run translated are skipped.
        listen: Receives notes and warnings.
    """
    from rnnkit.decoding import translate as translation
    from rnnkit.text.tokenizer import warn_replaced_line_ends

    translator = _open_translator(options, listen)
    listen(Status("decoding"))
    check_attention(options, translator.has_attention)
    check_directions(
        options, *([model.folder for model in group] for group in (translator.left_to_right, translator.right_to_left))
    )
    longest = _training_lengths(translator)
    ahead = lines_ahead(options, translation.BLOCK_LINES)
    search = replace(
        search_options(options, TRANSLATION_BEAM),
        max_source_length=options.max_source_length or longest.max_source_length,
        max_output_length=longest.max_output_length,
    )
    settings = _translation_options(options, translator, search, ahead)
    sources, done = _read_sources(options, translator, recorded, listen)
    translated = _count_unmet(translation.translate_lines(translator, sources, settings, done + 1, ahead), listen)
    # Nothing is written before the lines that an earlier run translated have been read again and compared.
    translated = chain(list(islice(translated, 1 if done else 0)), translated)
    warnings = LengthWarnings(longest, search)
    for number, line in enumerate(_write_attention(options, translated, done, recorded, listen), start=done + 1):
        warnings.add(number, line)
        yield line.outputs, _describe(line)
    for warning in warnings.warnings():
        listen(warning)
    warn_replaced_line_ends(translator.main.tokenizer, listen)


def _training_lengths(translator: TranslationEnsemble) -> TrainingLengths:
    """Return the lengths of the longest training lines of all models."""
    from rnnkit.decoding.stepper import max_training_lengths
    from rnnkit.models import store

    return max_training_lengths(
        [store.training_max_lengths(model.folder, model.languages) for model in translator.models]
    )


def _translation_options(
    options: DecodeOptions, translator: TranslationEnsemble, search: SearchOptions, ahead: int
) -> translation.TranslationOptions:
    import torch

    from rnnkit.decoding import translate as translation

    keep = options.json or options.replace_unknown or options.alignments is not None or options.attention is not None
    return translation.TranslationOptions(
        search=search,
        batch_tokens=options.batch_tokens,
        keep_attention=keep and translator.has_attention,
        replace_unknown=options.replace_unknown,
        lexicon=_lexicon(options, translator),
        sampling=sampling_options(options),
        seed=options.seed,
        # A single line uses all threads itself; blocks are searched in parallel, a thread per batch.
        workers=1 if ahead == 1 or translator.device.type != "cpu" else torch.get_num_threads(),
    )


def _write_attention(
    options: DecodeOptions,
    translated: Iterator[TranslatedLine],
    done: int,
    recorded: RecordedOutput | None,
    listen: Listener,
) -> Iterator[TranslatedLine]:
    """Pass the lines through, and write their alignment links and attention maps."""
    from rnnkit.reports.attention_map import open_attention_maps

    with ExitStack() as stack:
        links = maps = None
        if options.alignments is not None:
            links = stack.enter_context(resumable_file(options.alignments, done * options.nbest))
            if recorded is not None:
                recorded.track(links)
        if options.attention is not None:
            maps = stack.enter_context(open_attention_maps(options.attention, listen))
        for number, line in enumerate(translated, start=done + 1):
            if links is not None:
                text = _format_links(line, options.nbest)
                links.write(text)
                if recorded is not None:
                    recorded.add_links(text)
            if maps is not None:
                _add_attention_maps(maps, number, line, options.attention)
            yield line
    if maps is not None:
        listen(Note(maps.summary()))


def _read_sources(
    options: DecodeOptions, translator: TranslationEnsemble, recorded: RecordedOutput | None, listen: Listener
) -> tuple[Iterator[ConstrainedSource], int]:
    """Return the lines left to translate, with their constraints, and the number of lines already translated."""
    from rnnkit.decoding.constraint_files import ConstraintFiles, ConstraintReader, read_constraints
    from rnnkit.text.tokenizer import read_raw_text

    def read() -> Iterator[str]:
        return (line for path in options.files for line in read_raw_text(path, translator.main.tokenizer))

    files = ConstraintFiles(options.prefix_file, options.constraints, options.constraint_tokens)
    read_again = read if all(path.is_file() for path in options.files) else None
    reader = ConstraintReader(translator.main, files, translator.copies)
    lines, done = (read(), 0) if recorded is None else (recorded.read(read()), recorded.done)
    return read_constraints(reader, lines, done, options.skip_impossible, read_again, listen), done


def _count_unmet(translated: Iterator[TranslatedLine], listen: Listener) -> Iterator[TranslatedLine]:
    """Pass the lines through, and warn at the end if outputs do not satisfy their constraints."""
    unmet = 0
    for line in translated:
        unmet += not all(line.constraints_met)
        yield line
    if unmet:
        lines = "1 line has" if unmet == 1 else f"{unmet:,} lines have"
        listen(WarningEvent(f"{lines} outputs that do not satisfy all constraints"))


def _open_translator(options: DecodeOptions, listen: Listener) -> TranslationEnsemble:
    from rnnkit.decoding import translator
    from rnnkit.nn.device import choose_device

    fusion_models = [_parse_fusion(text) for text in options.fusion]
    device = choose_device(options.device)
    if options.int8 and device.type != "cpu":
        raise UsageError(
            f"--int8 needs the CPU, and the device is {device.type}", hint="add --device cpu", option="--int8"
        )
    int8 = options.int8 and _is_int8_faster(listen)
    files = translator.TranslatorFiles(options.folders, options.checkpoint, fusion_models, options.shortlist)
    loaded = translator.load_translator(files, device, int8, listen)
    for model in loaded.models:
        order = ", right to left" if model.network.config.right_to_left else ""
        listen(Note(f"{model.folder}: {options.checkpoint} weights, {model.languages[0]}-{model.languages[1]}{order}"))
    for folder, weight in fusion_models:
        listen(Note(f"{folder}: shallow fusion, weight {weight:g}"))
    return loaded


def _is_int8_faster(listen: Listener) -> bool:
    """Return whether int8 weights are faster on this CPU; warn if they are not."""
    from rnnkit.kernels import dispatch

    fast = dispatch.int8_is_fast()
    if not fast:
        listen(
            WarningEvent(
                "--int8 is ignored: this CPU lacks AVX-512, without which int8 weights are slower than float32"
            )
        )
    return fast


def _lexicon(options: DecodeOptions, translator: TranslationEnsemble) -> Mapping[str, str] | None:
    """Read the most probable translation of each source token; None without a lexicon.

    Raises:
        DataError: The file is missing, a line is malformed, or it has other tokens than the model.
    """
    from rnnkit.alignment.translation_table import read_best_translations

    if options.lexicon is None:
        return None
    found, known = read_best_translations(options.lexicon), translator.main.source_vocabulary
    if known.ids.keys().isdisjoint(found):
        shown = ", ".join(known.tokens[len(NAMES) :][:3])
        raise DataError(
            f"{options.lexicon} has no source token of the vocabulary of {translator.main.folder}",
            f"the vocabulary has {shown}; the lexicon translates {', '.join(list(found)[:3]) or 'nothing'}",
            hint="make one from text tokenized as for the model: `rnnkit align-words SOURCE.tok TARGET.tok`",
            path=options.lexicon,
            option="--lexicon",
        )
    return found


def _parse_fusion(text: str) -> tuple[Path, float]:
    """Parse a language model and its weight. Raises UsageError if the weight is not in (0, 1]."""
    folder, weight = shared.parse_weighted_model(text, "--fusion")
    if weight == 0:
        raise UsageError(
            f"--fusion {text}: with weight 0 the model {folder} has no effect", hint="leave it out", option="--fusion"
        )
    return folder, FUSION_WEIGHT if weight is None else weight


def _format_links(translated: TranslatedLine, nbest: int) -> str:
    """Format a line of alignment links for each output line; empty without an output."""
    from rnnkit.decoding.translate import format_pharaoh

    lines = [format_pharaoh(hypothesis, len(translated.source)) for hypothesis in translated.hypotheses]
    return "".join(f"{line}\n" for line, _ in zip([*lines, *repeat("", nbest)], range(nbest), strict=False))


def _add_attention_maps(maps: AttentionMapWriter, number: int, translated: TranslatedLine, path: Path | None) -> None:
    """Add the attention map of a line's best output, in JSON those of all outputs."""
    from rnnkit.reports.attention_map import AttentionMap

    all_outputs = path is not None and path.suffix == ".json"
    pairs = list(zip(translated.hypotheses, translated.tokens, strict=True))
    for hypothesis, tokens in pairs if all_outputs else pairs[:1]:
        if hypothesis.attention is not None:
            maps.add(AttentionMap(number, translated.source, tokens, hypothesis.attention.tolist()))


def _describe(translated: TranslatedLine) -> JsonObject:
    """Return the outputs of a line as JSON: source tokens, and each output with scores and attention.

    `finished` is false if an output was truncated at the maximum length; `source_tokens_left_out` is present if the
    source was truncated. `attention` has a row for each target token and EOS, and a column for each source token and
    EOS; it is null for models without attention. `constraints_met` is present if the line has constraints.
    """
    met = translated.constraints_met
    truncated = {"source_tokens_left_out": translated.truncated_tokens} if translated.truncated_tokens else {}
    return {
        "source_tokens": list(translated.source),
        **truncated,
        "outputs": [
            {
                "text": text,
                "score": hypothesis.score,
                "log_probability": hypothesis.log_p,
                "tokens": list(tokens),
                "finished": hypothesis.finished,
                "attention": None if hypothesis.attention is None else _rounded(hypothesis.attention.tolist()),
                **({"constraints_met": met[rank]} if met else {}),
            }
            for rank, (text, tokens, hypothesis) in enumerate(
                zip(translated.outputs, translated.tokens, translated.hypotheses, strict=False)
            )
        ],
    }


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]


SHOWN: Final = 5
"""Most line numbers that a warning lists."""


@dataclass
class LineTally:
    """Number of lines of one kind, and the numbers of the first."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Count a line."""
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(number)

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.first) else ""
        return f"line{'' if self.count == 1 else 's'} {', '.join(f'{number:,}' for number in self.first)}{more}"


@dataclass
class LengthWarnings:
    """Counts the lines to warn about.

    Attributes:
        longest: Lengths of the longest training lines.
        search: The search options.
        long: Lines longer than all training lines.
        truncated: Lines whose source was truncated.
        unfinished: Lines whose best output was truncated at the maximum length.
    """

    longest: TrainingLengths
    search: SearchOptions
    long: LineTally = field(default_factory=LineTally)
    truncated: LineTally = field(default_factory=LineTally)
    unfinished: LineTally = field(default_factory=LineTally)

    def add(self, number: int, translated: TranslatedLine) -> None:
        """Count a translated line."""
        if translated.truncated_tokens:
            self.truncated.add(number)
        if self.longest.is_known and len(translated.source) + translated.truncated_tokens + 1 > self.longest.source:
            self.long.add(number)
        if translated.hypotheses and not translated.hypotheses[0].finished:
            self.unfinished.add(number)

    def warnings(self) -> Iterator[WarningEvent]:
        """Yield at most one warning about sources and one about outputs."""
        long, truncated = self.long, self.truncated
        parts = []
        if long.count:
            have = "has" if long.count == 1 else "have"
            parts.append(
                f"{_lines(long.count)} {have} more tokens than the longest training source "
                f"({self.longest.source:,}): {long}"
            )
        if truncated.count:
            were = "was" if truncated.count == 1 else "were"
            parts.append(
                f"{_lines(truncated.count)} {were} truncated to {self.search.max_source_length:,} tokens: {truncated}; "
                "see --max-source-length"
            )
        if parts:
            yield WarningEvent("; ".join(parts))
        if self.unfinished.count:
            one = self.unfinished.count == 1
            what = "the output of 1 line was" if one else f"the outputs of {self.unfinished.count:,} lines were"
            yield WarningEvent(
                f"{what} truncated at the maximum length, perhaps inside a word: {self.unfinished}; see --max-length"
            )


def _lines(count: int) -> str:
    return f"{count:,} line{'' if count == 1 else 's'}"
