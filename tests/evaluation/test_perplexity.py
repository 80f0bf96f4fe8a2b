"""Every token's probability: the same in any block, batch and mode, and equal to reading one token after the other."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from tests import tiny_models
from tests.raising import raises

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import DataError
from rnnkit.evaluation import perplexity, validation
from rnnkit.evaluation.perplexity import FloatArray, LineEvaluator, make_evaluator, stream_log_probs, token_log_probs
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.nn import kinds
from rnnkit.text import special_tokens
from rnnkit.training.signals import StopRequest


def text(lines: int = 23, seed: int = 1, longest: int = 11) -> SentenceDataset:
    """Lines of random words and random lengths, an empty line among them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, longest, size=lines)
    lengths[3] = 0
    parts = [[*random.integers(4, tiny_models.SIZE, size=length), special_tokens.EOS] for length in lengths]
    offsets = np.cumsum([0, *map(len, parts)])
    return SentenceDataset(np.concatenate(parts).astype(np.uint16), offsets)


@torch.no_grad()
def one_by_one(network: LanguageModelNetwork, ids: Sequence[int]) -> FloatArray:
    """The definition: read a token, look at the distribution of the next."""
    state, last, found = network.initial_state(1), special_tokens.EOS, []
    for row in ids:
        reading = network.hidden_states(torch.tensor([[last]]), state)
        state, last = reading.state, row
        found.append(float(network.log_probabilities(reading.hidden_BTE[:, 0])[0, row]))
    return np.array(found)


@pytest.mark.parametrize("block", [1, 3, 7, 512])
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_the_block_size_does_not_change_log_probs(arch: str, block: int) -> None:
    network, ids = tiny_models.speaker(arch), text().ids
    expected = one_by_one(network, ids.tolist())
    assert len(expected) > 100
    np.testing.assert_allclose(stream_log_probs(network, ids, block), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("block", "batch_tokens"), [(1, 1), (3, 20), (7, 64), (512, 4096)])
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_a_line_alone_is_read_as_in_any_batch(arch: str, block: int, batch_tokens: int) -> None:
    network, lines = tiny_models.speaker(arch, context="line"), text()
    expected = np.concatenate([one_by_one(network, lines[number].tolist()) for number in range(len(lines))])
    found = token_log_probs(LineEvaluator(network, block, batch_tokens), lines)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_lines_and_streams_differ_at_the_start_of_a_line() -> None:
    lines = text()
    stream = token_log_probs(make_evaluator(tiny_models.speaker(context="stream")), lines)
    alone = token_log_probs(make_evaluator(tiny_models.speaker(context="line")), lines)
    first = slice(0, int(lines.offsets[1]))
    np.testing.assert_allclose(stream[first], alone[first], rtol=1e-4)
    assert np.abs(stream - alone).max() > 0.01


@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_a_reader_goes_on_where_it_stopped(context: str) -> None:
    network, lines = tiny_models.speaker(context=context), text()
    reader, parts = make_evaluator(network, block=5), []
    for begin in range(0, len(lines), 4):
        offsets = lines.offsets[begin : begin + 5]
        parts.append(
            token_log_probs(reader, SentenceDataset(lines.ids[offsets[0] : offsets[-1]], offsets - offsets[0]))
        )
    np.testing.assert_allclose(np.concatenate(parts), token_log_probs(make_evaluator(network), lines), rtol=1e-4)


def test_many_lines_are_sorted_in_parts_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    network, lines = tiny_models.speaker(context="line"), text()
    whole = token_log_probs(LineEvaluator(network), lines)
    monkeypatch.setattr(perplexity, "GROUP_TOKENS", 17)
    blocks = list(LineEvaluator(network).evaluate(lines))
    assert len(blocks) > 5
    np.testing.assert_allclose(np.concatenate([block.log_p_N for block in blocks]), whole, rtol=1e-5)
    assert torch.cat([block.target_N for block in blocks]).tolist() == lines.ids.tolist()


def test_probabilities_of_all_tokens_sum_to_one() -> None:
    network = tiny_models.speaker("gru")
    begin = [5, 6, 3, 9]
    each = [stream_log_probs(network, np.array([*begin, row]))[-1] for row in range(tiny_models.SIZE)]
    assert float(np.exp(each).sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_measuring_is_exact_and_leaves_no_trace(context: str) -> None:
    network, lines = tiny_models.speaker(context=context, dropout=0.5, weight_drop=0.5), text()
    expected = token_log_probs(make_evaluator(network), lines)
    network.train()
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_log_probs(make_evaluator(network), lines)
        assert torch.is_autocast_enabled("cpu")
    np.testing.assert_array_equal(found, expected)
    assert network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_reader_that_is_left_half_way_leaves_no_trace_either() -> None:
    network = tiny_models.speaker().train()
    blocks = make_evaluator(network, block=3).evaluate(text())
    next(blocks)
    assert (network.training, torch.is_grad_enabled()) == (True, True)


@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
def test_validation_is_the_mean_over_tokens(context: str) -> None:
    network, lines = tiny_models.speaker(context=context), text()
    found = validation.make_lm_validation(network, lines)(StopRequest())
    assert found is not None
    loss = -float(token_log_probs(make_evaluator(network), lines).mean())
    assert found.facts == pytest.approx({"loss": loss, "perplexity": math.exp(loss)}, rel=1e-6)
    assert found.score == -found.facts["loss"]


def test_validation_looks_at_the_weights_it_is_told_to() -> None:
    network, lines = tiny_models.speaker(), text()

    @contextlib.contextmanager
    def uniform() -> Iterator[None]:
        own = {name: value.clone() for name, value in network.state_dict().items()}
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        yield
        network.load_state_dict(own)

    found = validation.make_lm_validation(network, lines, uniform)(StopRequest())
    assert found is not None
    assert found.facts["perplexity"] == pytest.approx(tiny_models.SIZE, rel=1e-5)


def test_validation_gives_up_when_a_stop_is_asked_for() -> None:
    stop = StopRequest()
    validate = validation.make_lm_validation(tiny_models.speaker(), text())
    stop.signum = 15
    assert validate(stop) is None


def test_padding_is_not_predicted() -> None:
    plain = SentenceDataset(np.array([5, 6, 3, 7, 3]), np.array([0, 3, 5]))
    padded = SentenceDataset(np.array([5, 6, 3, 0, 0, 0, 7, 3]), np.array([0, 4, 8]), padded=True)
    network = tiny_models.speaker()
    one, other = (validation.make_lm_validation(network, lines)(StopRequest()) for lines in (plain, padded))
    assert one == other
    assert perplexity.remove_padding(padded).offsets.tolist() == [0, 3, 5]


def test_an_empty_validation_part_is_refused() -> None:
    nothing = SentenceDataset(np.zeros(0, dtype=np.int64), np.array([0]))
    with raises(DataError, "valid"):
        validation.make_lm_validation(tiny_models.speaker(), nothing)


def test_perplexity_has_no_upper_bound() -> None:
    assert perplexity.perplexity(math.log(7)) == pytest.approx(7)
    assert perplexity.perplexity(1e5) == math.inf


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("context", kinds.LINE_CONTEXTS)
@pytest.mark.parametrize("arch", kinds.LANGUAGE_ARCHS)
def test_a_gpu_says_what_the_cpu_says(arch: str, context: str) -> None:
    network, lines = tiny_models.speaker(arch, context=context, embedding=64, hidden=96), text(200)
    expected = token_log_probs(make_evaluator(network), lines).mean()
    found = token_log_probs(make_evaluator(network.to("cuda")), lines).mean()
    assert found == pytest.approx(expected, rel=1e-5)
