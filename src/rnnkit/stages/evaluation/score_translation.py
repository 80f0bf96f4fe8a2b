"""How `score` scores translations: two files, line by line, by what the model says where it is made to say them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import DataError
from rnnkit.events import Listener, Progress, Warned
from rnnkit.stages.evaluation import score_inputs
from rnnkit.stages.evaluation.score_options import ScoreOptions
from rnnkit.stages.evaluation.score_results import END, LineScore, Part, Summary, Token
from rnnkit.stages.inference.decode_warnings import Lines
from rnnkit.text.tokenizers.tokenizer import Tokenizer, read_text

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

BLOCK_LINES = 2000
"""Lines that are sorted into batches together."""


def score(options: ScoreOptions, device: torch.device, listen: Listener) -> Iterator[LineScore | Summary]:
    """Score a target file, given its source.

    Args:
        options: What was asked for; `files` are the two.
        device: Where the network goes.
        listen: Hears how far it is.

    Raises:
        DataError: A file is missing or no text, they have different numbers of lines, or none.
    """
    from rnnkit.decoding.rescoring import score_pairs
    from rnnkit.decoding.stepper import max_training_lengths
    from rnnkit.decoding.translator import Translator, encode_tokens
    from rnnkit.evaluation.language_scores import LanguageScore, measure
    from rnnkit.evaluation.perplexity import perplexity
    from rnnkit.models import store

    model = store.load(options.folder, options.checkpoint, device)
    translator = Translator((model,))
    longest = max_training_lengths([store.longest_pair(options.folder, model.languages)])
    read, said, cut = longest.max_source_length - 1, longest.max_output_length - 1, Lines()
    total = LanguageScore()
    for group in _groups(options.files[0], options.files[1], model.tokenizer):
        whole = [(model.tokenizer.tokenize(source), model.tokenizer.tokenize(target)) for source, target in group]
        # One line of noise would take hours, and memory by the square of its length.
        sources = [translator.encode(source[:read]) for source, _ in whole]
        tokens = [target[:said] for _, target in whole]
        # A token that the model can copy from this line's source is known.
        targets = [
            encode_tokens(model.target_vocabulary, line, own) for line, (_, own) in zip(tokens, sources, strict=True)
        ]
        scores = score_pairs(translator, [ids for ids, _ in sources], targets, first_line=total.lines + 1)
        for place, (_, raw) in enumerate(group):
            ids = _ended(targets[place])
            if len(whole[place][0]) > read or len(whole[place][1]) > said:
                cut.add(total.lines + 1)
                raw = model.tokenizer.detokenize(tokens[place])
            reproduced = [score_inputs.spell(tokens[place], raw, model.tokenizer)]
            figures = measure(ids, scores[place], [raw], 1, reproduced)
            if not options.summary:
                shown = _tokens(tokens[place], targets[place], scores[place]) if options.tokens else None
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
    yield Summary(total, (Part(str(options.folder), 1.0, perplexity(-total.log_p / total.tokens)),), None)


def _groups(source: Path, target: Path, tokenizer: Tokenizer) -> Iterator[list[tuple[str, str]]]:
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


def _ended(ids: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    from rnnkit.text import special

    return np.array([*ids, special.EOS], dtype=np.int64)


def _tokens(tokens: Sequence[str], ids: Sequence[int], log_p: NDArray[np.float64]) -> tuple[Token, ...]:
    from rnnkit.text.special import EOS, UNK

    each = zip([*tokens, END], [*ids, EOS], log_p.tolist(), strict=True)
    return tuple(Token(text, row != UNK, value) for text, row, value in each)
