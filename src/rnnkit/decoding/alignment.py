"""What attention says about which source token an output token comes from: links, and words for unknown ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnkit.decoding.stepper import Hypothesis
from rnnkit.text import special


def looked_at(hypothesis: Hypothesis, source_tokens: int) -> list[int]:
    """For each token of an output the source token, from 0, that it looked at most; end symbols left out.

    Args:
        hypothesis: With attention.
        source_tokens: How many the source has, the end symbol not counted; with none, nothing was looked at.
    """
    if hypothesis.attention is None or not source_tokens:
        return []
    found: list[int] = hypothesis.attention[: len(hypothesis.ids), :source_tokens].argmax(-1).tolist()
    return found


def pharaoh(hypothesis: Hypothesis, source_tokens: int) -> str:
    """Links of an output as `source-target` pairs, both from 0, in the order of the output."""
    return " ".join(f"{source}-{target}" for target, source in enumerate(looked_at(hypothesis, source_tokens)))


def replace_unknown(
    hypothesis: Hypothesis, tokens: Sequence[str], source: Sequence[str], lexicon: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The output's tokens, each unknown one replaced by way of the source token that it looked at most.

    What takes its place is the translation of that source token where the lexicon has one, and else the source token
    itself (Luong et al. 2015, arXiv:1410.8206).

    Args:
        hypothesis: With attention.
        tokens: Its tokens as text.
        source: The source's tokens as text; the vocabulary need not know them.
        lexicon: A translation of each source token that it knows; of none, without one.
    """
    seen = looked_at(hypothesis, len(source))
    if not seen:
        return tuple(tokens)
    pairs = zip(hypothesis.ids, tokens, seen, strict=True)
    words = source if lexicon is None else [lexicon.get(word, word) for word in source]
    return tuple(words[place] if row == special.UNK else token for row, token, place in pairs)
