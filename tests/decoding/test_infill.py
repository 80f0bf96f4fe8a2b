"""Infilling: candidates by definition, order by confidence, alone and in batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.tiny_models import SIZE, WORDS, filler, tokenizer, vocabulary

from rnnkit.decoding.infill import FilledLine, fill_lines
from rnnkit.models.lm_store import LoadedMaskedLM
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.text.masked_lines import MaskedTokens
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

LINES: list[MaskedTokens] = [
    ["the", None, "sat"],
    [None],
    ["a", "zebra", None, "on", "the", "mat", "￭."],
    [None, "king", None, "the", None],
    [None, None],
    ["i", "am", None, "hungry"],
]


def opened(network: MaskedLM, kind: str | None = "words", more: tuple[str, ...] = ()) -> LoadedMaskedLM:
    return LoadedMaskedLM(Path(), network, None if kind is None else tokenizer(kind), vocabulary(*more), "en", {})


def fill(
    network: MaskedLM, lines: list[MaskedTokens] = LINES, candidates: int = 3, batch_tokens: int = 1000
) -> list[FilledLine]:
    return list(fill_lines(opened(network), lines, candidates, False, batch_tokens))


@torch.no_grad()
def log_probabilities(network: MaskedLM, tokens: list[str | None], position: int) -> torch.Tensor:
    """Return the distribution at one position of a line, other gaps read as <unk> (V,)."""
    ids = [UNK if token is None else vocabulary().encode([token])[0] for token in tokens]
    readout_BTE = network.hidden_states(torch.tensor([[*ids, EOS]]), torch.tensor([len(ids) + 1]))
    return network.log_probabilities(readout_BTE[:, position])[0]


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm", "mingru"])
def test_candidates_are_the_most_probable_tokens(arch: str) -> None:
    network = filler(arch)
    for line, found in zip(LINES, fill(network), strict=True):
        if line.count(None) > 1:
            continue
        (gap,) = found.gaps
        assert gap.position == line.index(None)
        log_p_V = log_probabilities(network, line, gap.position)
        best = [row for row in log_p_V.argsort(descending=True).tolist() if row not in (PAD, UNK, BOS, EOS)][:3]
        assert [candidate.id for candidate in gap.candidates] == best
        assert [candidate.token for candidate in gap.candidates] == vocabulary().decode(best)
        assert [candidate.log_p for candidate in gap.candidates] == pytest.approx(log_p_V[best].tolist(), abs=1e-5)
        expected = [tuple(vocabulary().tokens[row] if token is None else token for token in line) for row in best]
        assert found.outputs == tuple(expected)
        assert found.texts == tuple(tokenizer("words").detokenize(one) for one in expected)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_most_confident_gap_is_filled_first(seed: int) -> None:
    """The line is then read again with this gap filled."""
    network = filler("gru", seed=seed)
    for line, found in zip(LINES, fill(network), strict=True):
        tokens = [*line]
        for gap in found.gaps:
            best = {}
            for position in [position for position, token in enumerate(tokens) if token is None]:
                log_p_V = log_probabilities(network, tokens, position)
                log_p_V[[PAD, UNK, BOS, EOS]] = -torch.inf
                best[position] = log_p_V.max().item()
            assert gap.position == max(best, key=lambda position: best[position])
            assert gap.candidates[0].log_p == pytest.approx(best[gap.position], abs=1e-5)
            tokens[gap.position] = gap.candidates[0].token
        assert None not in tokens
        if len(found.gaps) > 1:
            assert found.outputs == (tuple(tokens),)


def test_filling_order_differs_from_reading_order() -> None:
    orders = [[gap.position for gap in fill(filler(seed=seed), [LINES[3]])[0].gaps] for seed in range(8)]
    assert any(order != sorted(order) for order in orders)


@pytest.mark.parametrize("arch", ["lstm", "mingru"])
def test_result_is_independent_of_batches_and_blocks(arch: str) -> None:
    network = filler(arch)
    alone = [found for line in LINES for found in fill(network, [line])]
    for batch_tokens, block_lines in ((1, 2000), (15, 2000), (1000, 2), (1000, 1)):
        found = list(fill_lines(opened(network), LINES, 3, False, batch_tokens, block_lines))
        assert [one.outputs for one in found] == [one.outputs for one in alone]
        for one, other in zip(found, alone, strict=True):
            left, right = ([c.log_p for gap in many.gaps for c in gap.candidates] for many in (one, other))
            assert left == pytest.approx(right, abs=1e-5)


def test_unk_fills_a_gap_only_if_allowed() -> None:
    network = filler(size=SIZE + 1)
    with torch.no_grad():
        network.output_bias[[PAD, BOS, EOS]] += 100
        network.output_bias[UNK] += 60
        network.output_bias[SIZE] += 50
    model = opened(network, more=("<unk>",))
    (found,) = fill_lines(model, [["the", None]], 99, False, 100)
    assert {candidate.token for candidate in found.gaps[0].candidates} == set(WORDS), "all tokens, each once"
    (found,) = fill_lines(model, [["the", None]], 2, True, 100)
    assert [candidate.id for candidate in found.gaps[0].candidates] == [UNK, SIZE]


def test_unknown_words_of_the_line_are_kept() -> None:
    (found,) = fill(filler(), [["a", "zebra", None, "￭!"]], candidates=1)
    assert found.outputs[0][:2] == ("a", "zebra")
    assert found.texts[0].startswith("a zebra ")
    assert found.texts[0].endswith("!")


def test_without_tokenizer_tokens_are_split_at_spaces() -> None:
    (found,) = fill_lines(opened(filler(), None), [["the", None, "￭."]], 1, False, 100)
    assert found.texts == (" ".join(found.outputs[0]),)
