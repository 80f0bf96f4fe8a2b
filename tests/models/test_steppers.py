"""Steppers: ranked tokens against all tokens, shortlists, networks prepared for inference, and prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE as PROMPT_SIZE
from tests.tiny_models import counts, speaker, vocabulary

from rnnkit.models.encoder_decoder import DecoderState, Seq2SeqConfig
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.recurrent_seq2seq import RecurrentDecoder
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.models.steppers import NeuralPrompts, NgramPrompts, TranslationStepper, VocabularyShortlist
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.nn.kinds import LANGUAGE_ARCHS
from rnnkit.text import special_tokens
from rnnkit.text.special_tokens import BOS, EOS, UNK

SIZE = 90
SHAPES: dict[str, dict[str, Any]] = {
    "rnn": {"arch": "rnn", "layers": 2, "decoder_layers": 2},
    "gru": {"arch": "gru", "attention": "general", "bridge": "last"},
    "gru inside": {"arch": "gru", "reset_inside": True},
    "lstm": {"arch": "lstm", "decoder_layers": 3},
    "mingru": {"arch": "mingru"},
    "feeding": {"arch": "lstm", "input_feeding": True, "attention": "additive"},
    "blind": {"arch": "gru", "attention": "none", "bidirectional": False, "tied": False},
    "multihead": {"arch": "lstm", "attention": "multihead", "heads": 2},
    "monotonic": {"arch": "gru", "attention": "monotonic", "decoder_layers": 2},
    "monotonic feeding": {"arch": "lstm", "attention": "monotonic", "input_feeding": True},
    "location": {"arch": "lstm", "attention": "location"},
    "transformer": {"arch": "transformer", "embedding": 8, "heads": 2, "decoder_layers": 2},
    "hybrid": {"arch": "hybrid", "embedding": 8, "heads": 2},
    "copy": {"arch": "lstm", "copy": True, "joint": True},
}
SOURCES = [[4, 5, 6, 4, special_tokens.EOS], [6, special_tokens.EOS], [5, 1, 7, special_tokens.EOS]]
every_shape = pytest.mark.parametrize("name", SHAPES)


def network(name: str, seed: int = 1) -> SequenceToSequence:
    torch.manual_seed(seed)
    shape = {"embedding": 6, "hidden": 8, **SHAPES[name]}
    made = SequenceToSequence(Seq2SeqConfig(source_size=SIZE, target_size=SIZE, dropout=0.0, **shape)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.5)
    return made


def translation(model: SequenceToSequence, ids_C: torch.Tensor | None = None) -> TranslationStepper:
    """A batch whose sentences all have the same shortlist."""
    longest = max(map(len, SOURCES))
    padded = [ids + [special_tokens.PAD] * (longest - len(ids)) for ids in SOURCES]
    with torch.inference_mode():
        shortlist = (
            None
            if ids_C is None
            else VocabularyShortlist.from_members(ids_C, torch.ones(len(SOURCES), len(ids_C), dtype=torch.bool))
        )
        return TranslationStepper(model, torch.tensor(padded), torch.tensor([len(ids) for ids in SOURCES]), shortlist)


@torch.inference_mode()
def walk(stepper: TranslationStepper, steps: int = 4) -> list[torch.Tensor]:
    """Log-probabilities of some steps with two rows a sentence, which swap or share their parent."""
    state, found = stepper.start(), []
    token_BK, turns = torch.full((len(SOURCES), 1), special_tokens.BOS), [[0, 0], [1, 0], [1, 1], [0, 1]]
    for step in range(steps):
        log_p_BKV, state, _ = stepper.step(token_BK, state)
        found.append(log_p_BKV)
        state = stepper.select(state, torch.arange(len(SOURCES)), torch.tensor([turns[step]] * len(SOURCES)))
        token_BK = torch.tensor([[4 + step, 9], [7, 8 + step], [30, 4]])
    return found


@every_shape
@torch.inference_mode()
def test_ranked_tokens_are_the_best_of_all(name: str) -> None:
    stepper, forbidden = translation(network(name)), [special_tokens.PAD, special_tokens.UNK, special_tokens.BOS]
    token_BK = torch.tensor([[4], [5], [6]])
    all_BKV, _, weights_BKS = stepper.step(token_BK, stepper.start())
    best_BKN, token_BKN, state, same_BKS = stepper.rank(token_BK, stepper.start(), 4, forbidden)
    all_BKV[..., forbidden] = -torch.inf
    torch.testing.assert_close(best_BKN, all_BKV.topk(4).values, rtol=1e-4, atol=1e-5)
    assert torch.equal(token_BKN, all_BKV.topk(4).indices)
    if weights_BKS is not None and same_BKS is not None:
        torch.testing.assert_close(weights_BKS, same_BKS)
    again_BKV = stepper.step(token_BK, stepper.select(state, torch.arange(3), torch.zeros(3, 1, dtype=torch.long)))[0]
    assert torch.isfinite(again_BKV).all()


@pytest.mark.parametrize("name", ["lstm", "copy", "transformer"])
@pytest.mark.parametrize("ids", [None, [special_tokens.UNK, special_tokens.EOS, 7, 20, 21, 89]])
@torch.inference_mode()
def test_dead_rows_are_left_out(name: str, ids: list[int] | None) -> None:
    if name == "copy" and ids:
        pytest.skip("a network that copies has no shortlist")
    stepper = translation(network(name), None if ids is None else torch.tensor(ids))
    state, row_BK = stepper.start(), torch.zeros(3, 2, dtype=torch.long)
    state = stepper.select(stepper.step(torch.tensor([[4], [5], [6]]), state)[1], torch.arange(3), row_BK)
    token_BK, live_BK = (
        torch.tensor([[4, 9], [7, 8], [5, 6]]),
        torch.tensor([[True, False], [True, True], [False, True]]),
    )
    all_BKN, all_token_BKN, _, _ = stepper.rank(token_BK, state, 2, [special_tokens.UNK])
    best_BKN, token_BKN, _, _ = stepper.rank(token_BK, state, 2, [special_tokens.UNK], live_BK)
    torch.testing.assert_close(best_BKN[live_BK], all_BKN[live_BK], rtol=1e-5, atol=1e-5)
    assert torch.equal(token_BKN[live_BK], all_token_BKN[live_BK])
    assert (best_BKN[~live_BK] == -torch.inf).all()


@torch.inference_mode()
def test_fewer_come_from_a_small_vocabulary() -> None:
    stepper = translation(network("lstm"), torch.tensor([special_tokens.UNK, special_tokens.EOS, 10]))
    log_p_BKN, token_BKN, _, _ = stepper.rank(torch.tensor([[4], [5], [6]]), stepper.start(), 5, [special_tokens.UNK])
    assert token_BKN.shape == (3, 1, 3)
    assert (log_p_BKN[..., -1] == -torch.inf).all(), "<unk> is in the shortlist, and forbidden"
    assert token_BKN[..., :2].sort().values.tolist() == [[[special_tokens.EOS, 10]]] * 3


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "copy"])
@torch.inference_mode()
def test_a_shortlist_is_normalized(name: str) -> None:
    model, ids_C = network(name), torch.tensor([special_tokens.UNK, special_tokens.EOS, 7, 20, 21, 89])
    token_BK = torch.tensor([[4], [5], [6]])
    whole_BKV = translation(model).step(token_BK, translation(model).start())[0]
    short = translation(model, ids_C)
    found_BKV = short.step(token_BK, short.start())[0]
    wanted_BKC = torch.log_softmax(whole_BKV[..., ids_C], dim=-1)
    torch.testing.assert_close(found_BKV[..., ids_C], wanted_BKC, rtol=1e-4, atol=1e-5)
    assert found_BKV.exp().sum(-1).tolist() == [[pytest.approx(1, abs=1e-5)]] * 3
    best_BKN, token_BKN, _, _ = short.rank(token_BK, short.start(), 2, [special_tokens.UNK])
    wanted_BKC[..., 0] = -torch.inf
    torch.testing.assert_close(best_BKN, wanted_BKC.topk(2).values, rtol=1e-4, atol=1e-5)
    assert torch.equal(token_BKN, ids_C[wanted_BKC.topk(2).indices])


@torch.inference_mode()
def test_tokens_of_other_shortlists_have_no_probability() -> None:
    model, ids_C = network("gru"), torch.tensor([special_tokens.UNK, special_tokens.EOS, 7, 20, 21, 89])
    member_BC = torch.tensor(
        [[True] * 6, [True, True, False, False, True, True], [True, True, True, False, False, False]]
    )
    longest = max(map(len, SOURCES))
    source_BS = torch.tensor([ids + [special_tokens.PAD] * (longest - len(ids)) for ids in SOURCES])
    lengths_B, token_BK = torch.tensor([len(ids) for ids in SOURCES]), torch.tensor([[4], [5], [6]])
    together = TranslationStepper(model, source_BS, lengths_B, VocabularyShortlist.from_members(ids_C, member_BC))
    log_p_BKV, state, _ = together.step(token_BK, together.start())
    for index, member_C in enumerate(member_BC):
        one = slice(index, index + 1)
        alone = TranslationStepper(
            model,
            source_BS[one],
            lengths_B[one],
            VocabularyShortlist.from_members(ids_C[member_C], member_C[member_C].unsqueeze(0)),
        )
        wanted_1KV = alone.step(token_BK[one], alone.start())[0]
        torch.testing.assert_close(log_p_BKV[one], wanted_1KV, rtol=1e-4, atol=1e-5)
    chosen = together.select(state, torch.tensor([2, 1]), torch.zeros(2, 1, dtype=torch.long))
    best_BKN, token_BKN, _, _ = together.rank(torch.tensor([[7], [4]]), chosen, 4, [special_tokens.UNK])
    assert token_BKN[0, 0, :2].sort().values.tolist() == [special_tokens.EOS, 7]
    assert (best_BKN[0, 0] > -torch.inf).tolist() == [True, True, False, False]
    assert token_BKN[1, 0, :3].sort().values.tolist() == [special_tokens.EOS, 21, 89]


@every_shape
def test_precomputed_projections_equal_products(name: str) -> None:
    plain, ready = network(name), network(name)
    ready.prepare_for_inference()
    recurrent = plain.config.arch in ("rnn", "gru", "lstm") and not plain.config.input_feeding
    assert (ready.inference.projections_VG is not None) == recurrent
    for found_BKV, wanted_BKV in zip(walk(translation(ready)), walk(translation(plain)), strict=True):
        torch.testing.assert_close(found_BKV, wanted_BKV, rtol=1e-4, atol=1e-5)


@every_shape
def test_int8_is_close_to_float32(name: str) -> None:
    plain, ready = network(name), network(name)
    ready.prepare_for_inference(int8=True)
    for found_BKV, wanted_BKV in zip(walk(translation(ready)), walk(translation(plain)), strict=True):
        share_BK = (found_BKV.exp() - wanted_BKV.exp()).abs().sum(-1) / 2
        assert share_BK.max() < 0.1, "total variation distance"
        assert not torch.equal(found_BKV, wanted_BKV)


@torch.inference_mode()
def test_int8_with_a_shortlist() -> None:
    ready, ids_C = network("lstm"), torch.tensor([special_tokens.UNK, special_tokens.EOS, 7, 20, 21, 89])
    ready.prepare_for_inference(int8=True)
    token_BK = torch.tensor([[4], [5], [6]])
    whole_BKV = translation(ready).step(token_BK, translation(ready).start())[0]
    short = translation(ready, ids_C)
    found_BKV = short.step(token_BK, short.start())[0][..., ids_C]
    torch.testing.assert_close(found_BKV, torch.log_softmax(whole_BKV[..., ids_C], dim=-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["gru", "lstm", "feeding", "monotonic", "monotonic feeding", "location", "multihead", "blind"]
)
def test_readout_is_folded_if_nothing_else_uses_the_context(name: str) -> None:
    ready = network(name)
    ready.prepare_for_inference()
    assert isinstance(ready.decoder, RecurrentDecoder)
    assert ready.decoder.readout_folded == (name in ("gru", "feeding", "monotonic feeding", "location"))


def test_parents_are_stored_once_per_state() -> None:
    state = DecoderState((tuple(torch.randn(5, 3) for _ in range(2)),)).select(torch.tensor([3, 1, 3, 3, 1, 4]))
    unique, expanded = state.deduplicate_parents(), state.expand_parents()
    assert [len(part) for part in unique.layers[0]] == [3, 3] and unique.parent_N is not None
    assert expanded.parent_N is None
    for shared, own in zip(unique.layers[0], expanded.layers[0], strict=True):
        assert torch.equal(shared[unique.parent_N], own)
    further = state.select(torch.tensor([5, 0])).expand_parents()
    assert torch.equal(further.layers[0][0], state.layers[0][0][[4, 3]])


PROMPTS = [[4, 9, 6], [7, 7, 12], [15, 5, 4]]
FIRST = torch.full((3, 1), BOS)


@torch.no_grad()
def line_log_probabilities(network: LanguageModelNetwork, ids: list[int]) -> torch.Tensor:
    """Log-probabilities of the token after the ids, computed from the whole line (V,)."""
    output = network.hidden_states(torch.tensor([[EOS, *ids]]), network.initial_state(1))
    return network.log_probabilities(output.hidden_BTE[:, -1])[0]


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_steps_equal_the_whole_line(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    first_B1V, state, weights = stepper.step(FIRST, stepper.start())
    assert first_B1V.shape == (3, 1, PROMPT_SIZE)
    assert weights is None
    for prompt, first_1V in zip(PROMPTS, first_B1V, strict=True):
        torch.testing.assert_close(first_1V[0], line_log_probabilities(network, prompt), atol=1e-5, rtol=1e-5)
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 2, dtype=torch.long))
    chosen_BK = torch.tensor([[4, 5], [6, 7], [8, 9]])
    second_BKV, state, _ = stepper.step(chosen_BK, state)
    third_BKV, _, _ = stepper.step(chosen_BK + 5, state)
    for index, prompt in enumerate(PROMPTS):
        for row, token in enumerate(chosen_BK[index].tolist()):
            expected_V = line_log_probabilities(network, [*prompt, token])
            torch.testing.assert_close(second_BKV[index, row], expected_V, atol=1e-5, rtol=1e-5)
            expected_V = line_log_probabilities(network, [*prompt, token, token + 5])
            torch.testing.assert_close(third_BKV[index, row], expected_V, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", LANGUAGE_ARCHS)
@torch.no_grad()
def test_selected_rows_keep_their_state(arch: str) -> None:
    network = speaker(arch)
    stepper = NeuralPrompts(network, PROMPTS)
    _, state, _ = stepper.step(FIRST, stepper.start())
    state = stepper.select(state, torch.arange(3), torch.zeros(3, 3, dtype=torch.long))
    _, state, _ = stepper.step(torch.tensor([[4, 5, 6]] * 3), state)
    state = stepper.select(state, torch.tensor([2, 0]), torch.tensor([[1, 1], [2, 0]]))
    log_p_BKV, _, _ = stepper.step(torch.tensor([[7, 8], [9, 10]]), state)
    lines = [[*PROMPTS[2], 5, 7], [*PROMPTS[2], 5, 8], [*PROMPTS[0], 6, 9], [*PROMPTS[0], 4, 10]]
    for line, log_p_V in zip(lines, log_p_BKV.flatten(0, 1), strict=True):
        torch.testing.assert_close(log_p_V, line_log_probabilities(network, line), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_prompt_may_exceed_a_transformers_context() -> None:
    network = speaker("transformer", memory=3)
    prompt = [4, 9, 6, 7, 7, 12, 15, 5, 4, 8, 11]
    stepper = NeuralPrompts(network, [prompt])
    first_11V, state, _ = stepper.step(FIRST[:1], stepper.start())
    torch.testing.assert_close(first_11V[0, 0], line_log_probabilities(network, prompt), atol=1e-5, rtol=1e-5)
    second_11V, _, _ = stepper.step(torch.tensor([[6]]), state)
    torch.testing.assert_close(second_11V[0, 0], line_log_probabilities(network, [*prompt, 6]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_sentences_can_be_selected_before_the_first_step() -> None:
    stepper = NeuralPrompts(speaker(), PROMPTS)
    together_B1V, _, _ = stepper.step(FIRST, stepper.start())
    start = stepper.select(stepper.start(), torch.tensor([2]), torch.tensor([[0]]))
    assert torch.equal(stepper.step(FIRST[:1], start)[0], together_B1V[2:])


@torch.no_grad()
def test_an_empty_prompt_starts_a_text() -> None:
    network = speaker()
    stepper = NeuralPrompts(network, [[], []])
    first_B1V, _, _ = stepper.step(FIRST[:2], stepper.start())
    torch.testing.assert_close(first_B1V[1, 0], line_log_probabilities(network, []))


def ngram_log_probabilities(model: BackoffModel, line: list[int]) -> list[float]:
    """Log-probability of each token that may follow the ids, by scoring the lengthened line."""
    lines = [[*line, token] for token in range(PROMPT_SIZE) if token != BOS and token]
    scored = [model.score(np.array(one), np.array([0, len(one)]))[-1] for one in lines]
    return [-np.inf, scored[0], -np.inf, *scored[1:]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngram_steps_equal_scores_of_the_line(order: int) -> None:
    model = counts(order=order)
    prompts = [vocabulary().encode(line.split()) for line in ("the", "the cat sat on the mat", "zebra sat")]
    assert prompts[2][0] == UNK
    stepper = NgramPrompts(model, prompts)
    first_B1V, state, _ = stepper.step(FIRST, stepper.start())
    state = stepper.select(state, torch.tensor([0, 2]), torch.tensor([[0, 0], [0, 0]]))
    second_BKV, state, _ = stepper.step(torch.tensor([[6, 8], [EOS, 4]]), state)
    state = stepper.select(state, torch.tensor([1, 0]), torch.tensor([[1], [0]]))
    third_BKV, _, _ = stepper.step(torch.tensor([[9], [10]]), state)
    for log_p_V, line in (
        *((first_B1V[index, 0], prompt) for index, prompt in enumerate(prompts)),
        (second_BKV[0, 0], [*prompts[0], 6]),
        (second_BKV[0, 1], [*prompts[0], 8]),
        (second_BKV[1, 1], [*prompts[2], 4]),
        (third_BKV[0, 0], [*prompts[2], 4, 9]),
        (third_BKV[1, 0], [*prompts[0], 6, 10]),
    ):
        assert log_p_V.tolist() == pytest.approx(ngram_log_probabilities(model, line), abs=1e-6)


def test_an_empty_ngram_prompt_starts_a_line() -> None:
    model = counts()
    stepper = NgramPrompts(model, [[]])
    first_11V, _, _ = stepper.step(FIRST[:1], stepper.start())
    assert first_11V[0, 0].tolist() == pytest.approx(ngram_log_probabilities(model, []))
    assert first_11V.exp().sum().item() == pytest.approx(1)
