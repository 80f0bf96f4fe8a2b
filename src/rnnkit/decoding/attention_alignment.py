"""Word alignment from attention weights: alignment links, and replacement of unknown words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rnnkit.decoding.stepper import SearchHypothesis
from rnnkit.text import special_tokens


def most_attended(hypothesis: SearchHypothesis, source_length: int) -> list[int]:
    """Return the source position with the greatest attention for each output token, EOS excluded.

    A token without any attention, as with monotonic attention after the end of the source, takes the position of the
    token before it.

    Args:
        hypothesis: Hypothesis with attention.
        source_length: Source tokens without EOS; 0 yields no positions.

    Returns:
        Positions, counted from 0; empty without attention.
    """
    if hypothesis.attention is None or not source_length:
        return []
    weights_TS = hypothesis.attention[: len(hypothesis.ids), :source_length]
    positions: list[int] = weights_TS.argmax(-1).tolist()
    for token in (weights_TS == 0).all(-1).nonzero().flatten().tolist():
        positions[token] = positions[token - 1] if token else 0
    return positions


def format_pharaoh(hypothesis: SearchHypothesis, source_length: int) -> str:
    """Format the alignment links of an output as `source-target` pairs, counted from 0, in output order."""
    return " ".join(f"{source}-{target}" for target, source in enumerate(most_attended(hypothesis, source_length)))


def replace_unknown(
    hypothesis: SearchHypothesis,
    tokens: Sequence[str],
    source: Sequence[str],
    is_feature: Callable[[str], bool],
    lexicon: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Replace each <unk> of an output by means of its most attended source token (Luong et al. 2015, arXiv:1410.8206).

    The replacement is the translation of the source token in the lexicon, or else the source token itself. Source
    features are skipped, because they are not text; the next most attended word takes their place.

    Args:
        hypothesis: Hypothesis with attention.
        tokens: Its tokens as text.
        source: Source tokens as text; they need not be in the vocabulary.
        is_feature: Returns whether a source token is a feature.
        lexicon: Translations of source tokens; None to copy all source tokens.
    """
    positions = [position for position, token in enumerate(source) if not is_feature(token)]
    if hypothesis.attention is None or not positions:
        return tuple(tokens)
    attended = hypothesis.attention[: len(hypothesis.ids), positions].argmax(-1).tolist()
    replacements = source if lexicon is None else [lexicon.get(word, word) for word in source]
    triples = zip(hypothesis.ids, tokens, attended, strict=True)
    return tuple(
        replacements[positions[index]] if token_id == special_tokens.UNK else token
        for token_id, token, index in triples
    )
