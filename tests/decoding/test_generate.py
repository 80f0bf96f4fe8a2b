"""Continuation of prompts and infilling: against their definitions, alone and in batches; forbidden tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE, WORDS, counts, filler, speaker, tokenizer, vocabulary

from rnnkit.decoding.generate import (
    FilledLine,
    GeneratedLine,
    GenerationOptions,
    TextGenerator,
    fill_lines,
    generate_lines,
)
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.models import steppers
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.lm_store import LoadedMaskedLM
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.models.steppers import NeuralPrompts, NgramPrompts
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text.masked_lines import MaskedTokens
from rnnkit.text.special_tokens import BOS, EOS, PAD, UNK

LINES = ["the king", "", "a cat sat on the mat", "the zebra sat", "a", "the queen", "", "very hungry , the cat ran on"]
HOW = {
    "greedy": GenerationOptions(SearchOptions(beam=1, max_length=9)),
    "beam": GenerationOptions(SearchOptions(beam=4, nbest=3, max_length=9)),
    "sampling": GenerationOptions(
        SearchOptions(beam=1, nbest=3, max_length=9), SamplingOptions(temperature=0.9, top_k=12, top_p=0.95)
    ),
}


def neural(network: LanguageModelNetwork, kind: str | None = "words", more: Sequence[str] = ()) -> TextGenerator:
    return TextGenerator(
        lambda prompts: NeuralPrompts(network, prompts), vocabulary(*more), None if kind is None else tokenizer(kind)
    )


def ngram(smoothing: str = "kneser-ney") -> TextGenerator:
    model = counts(smoothing=smoothing)
    return TextGenerator(lambda prompts: NgramPrompts(model, prompts), vocabulary(), tokenizer("spaces"))


def ids_of(generator: TextGenerator, one: GeneratedLine, rank: int = 0) -> list[int]:
    return [*generator.vocabulary.encode(one.prompt), *one.hypotheses[rank].ids]


@torch.no_grad()
def forced_log_p(network: LanguageModelNetwork, ids: list[int], start: int) -> float:
    """Sum the log-probabilities of the ids after the prompt, scored in one pass."""
    hidden_BTE = network.hidden_states(torch.tensor([[EOS, *ids[:-1]]]), network.initial_state(1)).hidden_BTE
    return -network.nll(hidden_BTE[0, start:], torch.tensor(ids[start:])).double().sum().item() if ids[start:] else 0


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_log_probabilities_equal_scoring_the_line(arch: str, how: str) -> None:
    network = speaker(arch)
    generator = neural(network)
    cut = 0
    for one in generate_lines(generator, LINES, HOW[how], batch_tokens=50):
        for rank, (hypothesis, ended) in enumerate(zip(one.hypotheses, one.ended, strict=True)):
            ids = ids_of(generator, one, rank) + ([EOS] if ended else [])
            assert hypothesis.log_p == pytest.approx(forced_log_p(network, ids, len(one.prompt)), abs=1e-4)
            assert hypothesis.score == pytest.approx(hypothesis.log_p / (len(hypothesis.ids) + 1))
            assert len(hypothesis.ids) == 9 if not ended else len(hypothesis.ids) < 9
            cut += not ended
    assert cut or how == "beam"


@pytest.mark.parametrize("how", HOW)
def test_ngram_log_probabilities_equal_scoring_the_line(how: str) -> None:
    generator, model = ngram(), counts()
    for one in generate_lines(generator, LINES, HOW[how], batch_tokens=50):
        for rank, (hypothesis, ended) in enumerate(zip(one.hypotheses, one.ended, strict=True)):
            ids = np.array([*ids_of(generator, one, rank), *([EOS] if ended else [])])
            log_p = model.score(ids, np.array([0, len(ids)]))[len(one.prompt) :]
            assert hypothesis.log_p == pytest.approx(log_p.sum(), abs=1e-4)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("arch", ["lstm", "mingru"])
def test_result_is_independent_of_batches_and_blocks(arch: str, how: str) -> None:
    generator = neural(speaker(arch, seed=3))
    alone = list(generate_lines(generator, LINES, HOW[how], batch_tokens=1))
    for batch_tokens, block_lines in ((1_000_000, 2000), (60, 2000), (1000, 3), (1000, 1)):
        found = list(generate_lines(generator, LINES, HOW[how], batch_tokens, block_lines))
        assert [one.texts for one in found] == [one.texts for one in alone]
        for one, other in zip(found, alone, strict=True):
            left, right = ([each.log_p for each in many.hypotheses] for many in (one, other))
            assert left == pytest.approx(right, abs=1e-4)


def test_samples_depend_on_seed_and_line_number() -> None:
    """The same prompt on another line, or with another seed, has other samples."""
    generator, sampling = neural(speaker()), SamplingOptions()
    drawn = [
        [
            one.texts[0]
            for one in generate_lines(
                generator, ["the cat"] * 20, GenerationOptions(SearchOptions(), sampling, seed), 500
            )
        ]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) > 10


@torch.no_grad()
def test_greedy_takes_the_most_probable_allowed_token() -> None:
    network = speaker("gru", seed=8)
    generator = neural(network)
    (found,) = generate_lines(generator, ["the cat"], HOW["greedy"], batch_tokens=50)
    ids = [4, 8]
    for token in (*found.hypotheses[0].ids, *([EOS] if found.ended[0] else [])):
        hidden_BTE = network.hidden_states(torch.tensor([[EOS, *ids]]), network.initial_state(1)).hidden_BTE
        log_p_V = network.log_probabilities(hidden_BTE[:, -1])[0]
        log_p_V[[PAD, UNK, BOS]] = -torch.inf
        assert token == int(log_p_V.argmax())
        ids.append(token)
    assert len(ids) > 3


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("context", ["stream", "line"])
def test_pad_bos_and_unk_are_forbidden(how: str, context: str) -> None:
    network = speaker(seed=2, size=SIZE + 1, context=context)
    with torch.no_grad():
        network.output_bias[[PAD, BOS]] += 50
        network.output_bias[[UNK, SIZE]] += 8
    generator = neural(network, "spaces", more=["<unk>"])
    assert generator.vocabulary.tokens[SIZE] == "<unk>"
    options = HOW[how]
    generated = {
        row for one in generate_lines(generator, LINES, options, 500) for each in one.hypotheses for row in each.ids
    }
    assert generated
    assert not generated & {PAD, UNK, BOS, EOS, SIZE}
    allowed = GenerationOptions(
        SearchOptions(beam=options.search.beam, max_length=9, allow_unknown=True), options.sampling
    )
    generated = {
        row for one in generate_lines(generator, LINES, allowed, 500) for each in one.hypotheses for row in each.ids
    }
    assert generated & {UNK, SIZE}
    assert not generated & {PAD, BOS}


def test_text_is_detokenized() -> None:
    network = speaker(seed=4)
    with torch.no_grad():
        network.output_bias[WORDS.index("￭.") + 4] += 100
    how = GenerationOptions(SearchOptions(beam=1, max_length=2))
    (found,) = generate_lines(neural(network), ["  The   zebra (ran"], how, 100)
    assert found.prompt == ("The", "zebra", "(￭", "ran")
    assert found.texts == ("The zebra (ran..",)
    assert found.continuations == ("..",)
    assert found.tokens == (("￭.", "￭."),)
    (found,) = generate_lines(neural(network, None), ["  The   zebra (ran"], how, 100)
    assert found.prompt == ("The", "zebra", "(ran")
    assert found.texts == ("The zebra (ran ￭. ￭.",)


def test_default_max_length_is_fifty() -> None:
    network = speaker()
    with torch.no_grad():
        network.output_bias[EOS] -= 100
    (found,) = generate_lines(neural(network), ["the"], GenerationOptions(SearchOptions(beam=1)), 100)
    assert len(found.tokens[0]) == 50
    assert found.ended == (False,)


def test_unsmoothed_ngram_generates_only_seen_ngrams() -> None:
    generator = ngram("maximum-likelihood")
    options = GenerationOptions(SearchOptions(beam=1, nbest=20, max_length=12), SamplingOptions())
    for one in generate_lines(generator, ["the", "a zebra", ""], options, 500):
        for hypothesis in one.hypotheses:
            assert hypothesis.log_p > -np.inf


def test_wide_beam_equals_exhaustive_search() -> None:
    generator = neural(speaker(seed=5))
    wide = GenerationOptions(SearchOptions(beam=400, nbest=5, max_length=2, alpha=0))
    every = GenerationOptions(SearchOptions(beam=1, nbest=5, max_length=2, alpha=0, exhaustive=True))
    one, other = (list(generate_lines(generator, LINES[:3], how, 500)) for how in (wide, every))
    assert [each.texts for each in one] == [each.texts for each in other]


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
def test_long_prompt_in_chunks_equals_the_whole(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = speaker(arch)
    text = [[5 + step % (SIZE - 5) for step in range(50)]]
    with torch.inference_mode():
        whole = NeuralPrompts(network, text).start().first_BKV
        monkeypatch.setattr(steppers, "PREFILL_CHUNK", 7)
        pieces = NeuralPrompts(network, text).start().first_BKV
    assert whole is not None
    assert pieces is not None
    torch.testing.assert_close(pieces, whole)


MASKED_LINES: list[MaskedTokens] = [
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
    network: MaskedLM, lines: list[MaskedTokens] = MASKED_LINES, candidates: int = 3, batch_tokens: int = 1000
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
    for line, found in zip(MASKED_LINES, fill(network), strict=True):
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
    for line, found in zip(MASKED_LINES, fill(network), strict=True):
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
    orders = [[gap.position for gap in fill(filler(seed=seed), [MASKED_LINES[3]])[0].gaps] for seed in range(8)]
    assert any(order != sorted(order) for order in orders)


@pytest.mark.parametrize("arch", ["lstm", "mingru"])
def test_infilling_is_independent_of_batches_and_blocks(arch: str) -> None:
    network = filler(arch)
    alone = [found for line in MASKED_LINES for found in fill(network, [line])]
    for batch_tokens, block_lines in ((1, 2000), (15, 2000), (1000, 2), (1000, 1)):
        found = list(fill_lines(opened(network), MASKED_LINES, 3, False, batch_tokens, block_lines))
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
