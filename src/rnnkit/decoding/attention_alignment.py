"""What attention says about which source token an output token comes from: links, and words for unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rnnkit.decoding.stepper import Hypothesis
from rnnkit.text import special_tokens


def most_attended(hypothesis: Hypothesis, source_tokens: int) -> list[int]:
    """For each token of an output the source token, from 0, that it looked at most; end symbols left out.

    A token that looked at none, as monotonic attention behind the end of the source, has that of the token before.

    Args:
        hypothesis: With attention.
        source_tokens: How many the source has, the end symbol not counted; with none, nothing was looked at.
    """
    if hypothesis.attention is None or not source_tokens:
        return []
    weights_TS = hypothesis.attention[: len(hypothesis.ids), :source_tokens]
    found: list[int] = weights_TS.argmax(-1).tolist()
    for token in (weights_TS == 0).all(-1).nonzero().flatten().tolist():
        found[token] = found[token - 1] if token else 0
    return found


def format_pharaoh(hypothesis: Hypothesis, source_tokens: int) -> str:
    """Links of an output as `source-target` pairs, both from 0, in the order of the output."""
    return " ".join(f"{source}-{target}" for target, source in enumerate(most_attended(hypothesis, source_tokens)))


def replace_unknown(
    hypothesis: Hypothesis,
    tokens: Sequence[str],
    source: Sequence[str],
    is_feature: Callable[[str], bool],
    lexicon: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """The output's tokens, each unknown one replaced by way of the source token that it looked at most.

    What takes its place is the translation of that source token where the lexicon has one, and else the source token
    itself (Luong et al. 2015, arXiv:1410.8206).

    Features are passed over: they are no text, and what looks at one the most means some word all the same.

    Args:
        hypothesis: With attention.
        tokens: Its tokens as text.
        source: The source's tokens as text; the vocabulary need not know them.
        is_feature: Tells which of these are features.
        lexicon: A translation of each source token that it knows; of none, without one.
    """
    places = [place for place, token in enumerate(source) if not is_feature(token)]
    if hypothesis.attention is None or not places:
        return tuple(tokens)
    seen = [places[index] for index in hypothesis.attention[: len(hypothesis.ids), places].argmax(-1).tolist()]
    pairs = zip(hypothesis.ids, tokens, seen, strict=True)
    words = source if lexicon is None else [lexicon.get(word, word) for word in source]
    return tuple(words[place] if row == special_tokens.UNK else token for row, token, place in pairs)
