"""Linear-chain CRFs against the enumeration of all label sequences; kernels against the reference."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.nn.crf_enumeration import make_batch, make_crf, marginals, score_sequences, weighted_nll
from torch import Tensor

from rnnkit.nn import crf_reference
from rnnkit.nn.crf import ChainMask, LinearChainCRF
from rnnkit.nn.crf_reference import ChainScores

PRECISIONS = {torch.float32: 2e-5, torch.float64: 1e-9}
"""Kernels compute with float32 emissions, the reference with float64; the tolerance of each."""

batches = st.lists(st.integers(0, 4), min_size=1, max_size=3)
small = given(
    lengths=batches, labels=st.integers(1, 3), seed=st.integers(0, 999), forbidden=st.sampled_from([0.0, 0.3, 0.6])
)
few = settings(max_examples=20, deadline=None)


@pytest.fixture(autouse=True)
def _restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=tolerance, atol=tolerance)


def gradients(crf: LinearChainCRF, loss_B: Tensor, scores_BTC: Tensor) -> list[Tensor]:
    """Return the gradients of the finite losses, each with its own factor."""
    factors = torch.arange(1.0, len(loss_B) + 1, dtype=torch.float64)
    total = torch.where(loss_B < math.inf, loss_B, 0) @ factors.to(loss_B.dtype)
    return list(torch.autograd.grad(total, [*crf.parameters(), scores_BTC], materialize_grads=True))


@pytest.mark.parametrize("weights", [None, [1.5, 0.0, 0.7]], ids=["equal", "weighted"])
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@few
@small
def test_loss_and_gradient(
    dtype: torch.dtype, weights: list[float] | None, lengths: list[int], labels: int, seed: int, forbidden: float
) -> None:
    crf = make_crf(labels, seed, forbidden=forbidden)
    exact, fast = copy.deepcopy(crf).double(), crf.to(dtype)
    scores_BTC, lengths_B, labels_BT = make_batch(lengths, labels, seed)
    exact_BTC, fast_BTC = scores_BTC.double().requires_grad_(), scores_BTC.to(dtype).requires_grad_()
    expected_B = torch.stack(
        [
            weighted_nll(*score_sequences(exact, exact_BTC[b, :n]), labels_BT[b, :n], weights or [1, 1, 1])
            for b, n in enumerate(lengths)
        ]
    )
    loss_B = fast.nll(
        fast_BTC, lengths_B, labels_BT, None if weights is None else torch.tensor(weights[:labels], dtype=dtype)
    )
    assert_close(loss_B, expected_B, PRECISIONS[dtype])
    assert torch.equal(crf.is_allowed(lengths_B, labels_BT), loss_B < math.inf)
    expected = gradients(exact, expected_B, exact_BTC)
    for found, right in zip(gradients(fast, loss_B, fast_BTC), expected, strict=True):
        assert_close(found, right, 10 * PRECISIONS[dtype])


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@few
@small
def test_marginals(dtype: torch.dtype, lengths: list[int], labels: int, seed: int, forbidden: float) -> None:
    crf = make_crf(labels, seed, forbidden=forbidden).to(dtype)
    scores_BTC, lengths_B, _ = make_batch(lengths, labels, seed)
    p_BTC = crf.marginals(scores_BTC.to(dtype), lengths_B)
    for b, n in enumerate(lengths):
        expected_TC = marginals(*score_sequences(crf, scores_BTC[b, :n].to(dtype)), labels)
        assert_close(p_BTC[b, :n], expected_TC, PRECISIONS[dtype])
        assert not p_BTC[b, n:].any()


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@few
@small
def test_k_best(dtype: torch.dtype, lengths: list[int], labels: int, seed: int, forbidden: float) -> None:
    """K larger than the number of sequences included: the others have probability 0."""
    crf = make_crf(labels, seed, forbidden=forbidden).to(dtype)
    scores_BTC, lengths_B, _ = make_batch(lengths, labels, seed)
    scores_BTC = scores_BTC.to(dtype)
    labels_BT, score_B = crf.viterbi(scores_BTC, lengths_B)
    for best in (1, 2, 100):
        sequences_BKT, log_p_BK = crf.k_best(scores_BTC, lengths_B, best)
        assert torch.equal(sequences_BKT[:, 0], labels_BT)
        for b, n in enumerate(lengths):
            y_NT, scores_N = score_sequences(crf, scores_BTC[b, :n])
            count = min(best, len(y_NT))
            assert torch.equal(sequences_BKT[b, :count, :n], y_NT[:count])
            assert not sequences_BKT[b, :, n:].any() and not sequences_BKT[b, count:].any()
            assert_close(log_p_BK[b, :count], scores_N[:count] - scores_N.logsumexp(0), PRECISIONS[dtype])
            assert (log_p_BK[b, count:] == -math.inf).all()
            assert_close(score_B[b], scores_N[0] if count else torch.tensor(-math.inf), PRECISIONS[dtype])


@pytest.mark.parametrize(("batch", "steps", "labels"), [(3, 7, 5), (1, 1, 17), (7, 9, 3), (5, 3, 33), (2, 5, 8)])
@pytest.mark.parametrize("spread", [1.0, 30.0, 3000.0], ids=["near", "far", "unsafe"])
def test_kernels_equal_reference(batch: int, steps: int, labels: int, spread: float) -> None:
    """Also with scores so far apart that float64 holds no exponential of their difference."""
    crf = make_crf(labels, labels, spread, forbidden=0.2)
    lengths = [1 + (3 * b) % steps for b in range(batch - 1)] + [steps]
    scores_BTC, lengths_B, labels_BT = make_batch(lengths, labels, labels, spread)
    scores_BTC.requires_grad_()
    exact_BTC = scores_BTC.detach().double().requires_grad_()
    double = ChainScores(*(part.double() for part in crf.chain_scores()))
    weights_C = torch.linspace(0.5, 2, labels)
    found_B = crf.nll(scores_BTC, lengths_B, labels_BT, weights_C)
    expected_B = crf_reference.weighted_nll(double, exact_BTC, lengths_B, labels_BT, weights_C)
    assert_close(found_B, expected_B, 1e-5)
    found, expected = gradients(crf, found_B, scores_BTC), gradients(crf, expected_B, exact_BTC)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, 1e-5)
    p_BTC = crf_reference.marginals(double, exact_BTC, lengths_B)
    assert_close(crf.marginals(scores_BTC, lengths_B), p_BTC, 1e-5)
    sequences_BKT, totals_BK = crf_reference.k_best(double, exact_BTC, lengths_B, 3)
    log_z_B1 = crf_reference.log_partition(double, exact_BTC, lengths_B).unsqueeze(1)
    k_best = crf.k_best(scores_BTC, lengths_B, 3)
    assert torch.equal(k_best[0], sequences_BKT)
    assert_close(k_best[1], torch.where(totals_BK > -math.inf, totals_BK - log_z_B1, -math.inf), 1e-5)


def test_gradient_of_reference() -> None:
    crf = make_crf(3, 1, forbidden=0.1).double()
    scores_BTC, lengths_B, labels_BT = make_batch([4, 1, 3, 2, 4], 3, 1)
    assert 1 < crf.is_allowed(lengths_B, labels_BT).sum() < 5
    scores_BTC = torch.nan_to_num(scores_BTC).double().requires_grad_()

    def loss_of(*leaves: Tensor) -> Tensor:
        parts = zip(leaves[1:], crf.buffers(), strict=True)
        chain = ChainScores(*(part.masked_fill(~mask, -math.inf) for part, mask in parts))
        loss_B = crf_reference.weighted_nll(chain, leaves[0], lengths_B, labels_BT, torch.tensor([0.5, 1, 2]))
        return loss_B[loss_B < math.inf]

    assert torch.autograd.gradcheck(loss_of, (scores_BTC, *crf.parameters()))


@pytest.mark.parametrize("spread", [1.0, 3000.0], ids=["safe", "unsafe"])
def test_results_do_not_depend_on_batch_or_threads(spread: float) -> None:
    crf = make_crf(7, 3, spread, forbidden=0.2)
    scores_BTC, lengths_B, labels_BT = make_batch([5, 1, 7, 0, 3, 6, 7, 2], 7, 3, spread)

    def run(rows: slice, steps: int) -> list[Tensor]:
        scores = scores_BTC[rows, :steps].clone().requires_grad_()
        batch = scores, lengths_B[rows]
        loss_B = crf.nll(*batch, labels_BT[rows, :steps])
        (grad_BTC,) = torch.autograd.grad(torch.where(loss_B < math.inf, loss_B, 0).sum(), scores)
        results = [loss_B, grad_BTC, crf.marginals(*batch), *crf.viterbi(*batch), *crf.k_best(*batch, 3)]
        return [torch.nn.functional.pad(one, (0, 0) * (one.dim() - 2) + (0, 0)) for one in results]

    together = run(slice(0, 8), 7)
    for b, n in enumerate(lengths_B.tolist()):
        for one, other in zip(run(slice(b, b + 1), max(n, 1)), together, strict=True):
            part = other[b : b + 1]
            shape = tuple(slice(size) for size in one.shape)
            assert torch.equal(one, part[shape])
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        assert all(torch.equal(one, other) for one, other in zip(run(slice(0, 8), 7), together, strict=True))


def test_gradients_of_scores_do_not_depend_on_threads() -> None:
    crf = make_crf(19, 3)
    batch = make_batch([5, 1, 7, 3, 6, 7, 2], 19, 3)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(torch.autograd.grad(crf.nll(*batch).sum(), list(crf.parameters())))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_zeros_make_a_softmax() -> None:
    scores_BTC, lengths_B, labels_BT = make_batch([3, 5], 7, 0)
    p_BTC = LinearChainCRF(7).marginals(scores_BTC, lengths_B)
    assert_close(p_BTC[1], torch.softmax(scores_BTC[1], -1), 1e-6)
    loss_B = LinearChainCRF(7).nll(scores_BTC, lengths_B, labels_BT)
    assert_close(loss_B[1], torch.nn.functional.cross_entropy(scores_BTC[1], labels_BT[1], reduction="sum"), 1e-6)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_impossible_labels_have_no_gradient(dtype: torch.dtype) -> None:
    mask = ChainMask(torch.tensor([True, False]), torch.ones(2).bool(), torch.ones(2, 2).bool())
    crf = LinearChainCRF(2, mask).to(dtype)
    scores_BTC = torch.randn(2, 3, 2, dtype=dtype, requires_grad=True)
    loss_B = crf.nll(scores_BTC, torch.tensor([3, 2]), torch.tensor([[1, 0, 0], [0, 1, 0]]))
    assert loss_B.isinf().tolist() == [True, False]
    grads = torch.autograd.grad(loss_B.sum(), [scores_BTC, *crf.parameters()])
    assert all(grad.isfinite().all() for grad in grads)
    assert not grads[0][0].any() and grads[0][1].any() and grads[1][1] == 0


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_no_allowed_sequence(dtype: torch.dtype) -> None:
    nothing = ChainMask(torch.ones(3).bool(), torch.ones(3).bool(), torch.zeros(3, 3).bool())
    crf = LinearChainCRF(3, nothing).to(dtype)
    batch = torch.randn(2, 4, 3, dtype=dtype), torch.tensor([1, 4])
    assert_close(crf.marginals(*batch).sum(2), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0]]), 1e-6)
    labels_BT, score_B = crf.viterbi(*batch)
    assert score_B[1] == -math.inf and not labels_BT[1].any()
    assert (crf.k_best(*batch, 2)[1][1] == -math.inf).all()


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_nan_stays_in_its_sentence(dtype: torch.dtype) -> None:
    crf, (scores_BTC, lengths_B, labels_BT) = make_crf(3, 0).to(dtype), make_batch([4, 4], 3, 0)
    scores_BTC[0, 2, 1] = math.nan
    assert crf.nll(scores_BTC.to(dtype), lengths_B, labels_BT).isnan().tolist() == [True, False]
    assert crf.marginals(scores_BTC.to(dtype), lengths_B)[1].isfinite().all()
    assert crf.viterbi(scores_BTC.to(dtype), lengths_B)[1][1].isfinite()


@pytest.mark.parametrize("spread", [1.0, 3000.0], ids=["safe", "unsafe"])
def test_inference_mode(spread: float) -> None:
    crf, (scores_BTC, lengths_B, labels_BT) = make_crf(5, 0, spread), make_batch([4, 2], 5, 0, spread)
    expected = [crf.nll(scores_BTC, lengths_B, labels_BT), crf.marginals(scores_BTC, lengths_B)]
    with torch.inference_mode():
        batch = scores_BTC.clone(), lengths_B.clone()
        assert torch.equal(crf.nll(*batch, labels_BT.clone()), expected[0])
        assert torch.equal(crf.marginals(*batch), expected[1])


def test_half_precision_counts_as_float32() -> None:
    crf, (scores_BTC, lengths_B, labels_BT) = make_crf(5, 0), make_batch([4, 2], 5, 0)
    half_BTC = scores_BTC.bfloat16().requires_grad_()
    loss_B = crf.nll(half_BTC, lengths_B, labels_BT)
    assert torch.equal(loss_B, crf.nll(half_BTC.float(), lengths_B, labels_BT))
    (grad_BTC,) = torch.autograd.grad(loss_B.sum(), half_BTC)
    assert grad_BTC.dtype == torch.bfloat16 and grad_BTC[1, 1].any()


def test_trained_scores_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences of 200 between emissions, as of a network that is certain, need no logarithms."""
    monkeypatch.setattr(crf_reference, "weighted_nll", None)
    crf, (scores_BTC, lengths_B, labels_BT) = make_crf(5, 0, 10.0), make_batch([30, 7], 5, 0, 30.0)
    assert crf.nll(scores_BTC, lengths_B, labels_BT).isfinite().all()


def test_shapes_and_values_are_checked() -> None:
    crf, (scores_BTC, lengths_B, labels_BT) = LinearChainCRF(3), make_batch([4, 2], 3, 0)
    for label in (3, -1):
        wrong_BT = labels_BT.index_fill(1, torch.tensor(1), label)
        with pytest.raises(IndexError, match="gold labels must be from 0 to 2"):
            crf.nll(scores_BTC, lengths_B, wrong_BT)
    with pytest.raises(ValueError, match="lengths must be from 0 to 4"):
        crf.marginals(scores_BTC, lengths_B + 1)
    with pytest.raises(ValueError, match="the CRF has 3 labels"):
        crf.viterbi(torch.zeros(2, 4, 5), lengths_B)
    with pytest.raises(ValueError, match="labels have shape"):
        crf.nll(scores_BTC, lengths_B, labels_BT[:, 1:])
    with pytest.raises(ValueError, match="start_C has shape"):
        LinearChainCRF(4, ChainMask(*crf.buffers()))
