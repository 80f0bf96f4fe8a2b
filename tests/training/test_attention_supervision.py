"""Guided attention: the links of each batch, a loss independent of padding, attention that follows the links."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.alignment.alignment_links import AlignmentScores, score_links
from rnnkit.data.batch_sampler import BatchSampler
from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.sequence_to_sequence import SequenceToSequence
from rnnkit.nn import kinds
from rnnkit.nn.attention import guided_attention_loss, reference_guided_attention_loss
from rnnkit.training.optimizer import NetworkOptimizer, OptimizerSettings
from rnnkit.training.training_step import AttentionSupervision, Seq2SeqObjective, Seq2SeqTask, gather_pairs

from .pairs import Points, pack, sentences

SIZE = 12
CPU = torch.device("cpu")
WHOLE: dict[str, Any] = {"attention": "multihead", "inner": 16, "embedding": 16}
EVERY: list[dict[str, Any]] = [
    {"arch": arch, "attention": attention, "input_feeding": feeding}
    for arch, attention, feeding in itertools.product(
        ["rnn", "gru", "lstm", "mingru"], [kind for kind in kinds.ATTENTIONS if kind != "none"], [False, True]
    )
]
EVERY += [{"arch": "transformer", "layers": 2, "decoder_layers": depth, **WHOLE} for depth in (1, 3)]
EVERY += [{"arch": "transformer", "norm": "post", "positions": "sinusoidal", **WHOLE}]
EVERY += [{"arch": "hybrid", "cell": cell, "decoder_layers": 2, **WHOLE} for cell in kinds.CELLS]
EVERY += [{"arch": "lstm", "copy": True, "decoder_layers": 2, "layers": 2}]


def build(seed: int = 3, **changes: Any) -> SequenceToSequence:
    torch.manual_seed(seed)
    shape = {"embedding": 16, "hidden": 16, "heads": 2, "joint": True, "dropout": 0.0, **changes}
    shape["guided_head"] = shape.get("attention") == "multihead"
    return SequenceToSequence(Seq2SeqConfig(source_size=SIZE, target_size=SIZE, **shape))


def copies(count: int, seed: int) -> tuple[list[list[int]], list[list[int]], Points]:
    """Random words, the same backwards, and the links between them."""
    random = np.random.default_rng(seed)
    rows = [random.integers(4, SIZE, size=random.integers(2, 7)).tolist() for _ in range(count)]
    points = [[(position, len(row) - 1 - position) for position in range(len(row))] for row in rows]
    return rows, [row[::-1] for row in rows], points


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_links_of_a_batch_in_any_order(data: st.DataObject) -> None:
    link = st.tuples(st.integers(0, 6), st.integers(0, 4))
    points = data.draw(st.lists(st.lists(link, max_size=8), min_size=1, max_size=7))
    batch = data.draw(st.lists(st.integers(0, len(points) - 1), min_size=1, max_size=5))
    linked = AttentionSupervision(pack(points), 0.2).batch_links(np.array(batch), CPU)
    batch_links = zip(linked.row_L.tolist(), linked.source_L.tolist(), linked.target_L.tolist(), strict=True)
    assert sorted(batch_links) == sorted((row, *link) for row, pair in enumerate(batch) for link in set(points[pair]))
    assert linked.tokens == sum(len({target for _, target in points[pair]}) for pair in batch)
    linked_BTS = torch.zeros(len(batch), 5, 7, dtype=torch.bool)
    linked_BTS[linked.row_L, linked.target_L, linked.source_L] = True
    weights_BTS = torch.softmax(torch.randn(len(batch), 5, 7, generator=torch.Generator().manual_seed(1)), dim=-1)
    torch.testing.assert_close(
        guided_attention_loss(weights_BTS, linked), reference_guided_attention_loss(weights_BTS, linked_BTS)
    )


def attention_loss(network: SequenceToSequence, data: Any, guidance: AttentionSupervision, batch: list[int]) -> Tensor:
    source, target = data
    pairs = gather_pairs(source, target, np.array(batch), CPU)
    decoded, _ = network.decode(pairs.source_BS, pairs.lengths_B, pairs.input_BT, need_weights=True)
    assert decoded.weights_BTS is not None
    return guided_attention_loss(decoded.weights_BTS, guidance.batch_links(np.array(batch), CPU))


@pytest.mark.parametrize("changes", EVERY, ids=str)
def test_loss_is_independent_of_padding_and_batch(changes: dict[str, Any]) -> None:
    network = build(**changes).eval()  # monotonic attention adds noise in training
    source, target, points = copies(5, seed=2)
    points[3] = []
    data, guidance = (sentences(source), sentences(target)), AttentionSupervision(pack(points), 0.2)
    together = attention_loss(network, data, guidance, [4, 0, 3, 2])
    alone = sum(attention_loss(network, data, guidance, [pair]) for pair in (4, 0, 2))
    assert isinstance(alone, Tensor)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    grads = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (together, alone)]
    assert any(grad is not None and grad.any() for grad in grads[0]), "attention gets gradients"
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def trained(changes: dict[str, Any], weight: float | None) -> tuple[AlignmentScores, float, list[Any]]:
    """After 50 steps, on other sentences: agreement of attention with links, nats per linked token; the reports."""
    network, (source, target, points) = build(**changes), copies(60, seed=1)
    data = sentences(source), sentences(target)
    supervision = None if weight is None else AttentionSupervision(pack(points), weight)
    optimizer = NetworkOptimizer(network, OptimizerSettings("adam"), Path())
    task = Seq2SeqTask(network, *data, Seq2SeqObjective(0.0, torch.float32), optimizer, supervision)
    batches = BatchSampler([side.lengths() for side in data], 80, seed=1)
    reports = [task.step([batch], 1e-2) for batch in itertools.islice(batches, 50)]
    network.eval()
    source, target, points = copies(20, seed=9)
    pairs, linked = (
        gather_pairs(sentences(source), sentences(target), np.arange(20), CPU),
        AttentionSupervision(pack(points), 1.0),
    )
    batch_links = linked.batch_links(np.arange(20), CPU)
    with torch.inference_mode():
        decoded, _ = network.decode(pairs.source_BS, pairs.lengths_B, pairs.input_BT, need_weights=True)
        assert decoded.weights_BTS is not None
        nats = guided_attention_loss(decoded.weights_BTS, batch_links).item() / batch_links.tokens
    attended = [
        [(int(position), at) for at, position in enumerate(weights_TS[: len(row), : len(row)].argmax(-1))]
        for weights_TS, row in zip(decoded.weights_BTS, source, strict=True)
    ]
    return score_links(pack(attended), pack(points)), nats, reports


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": "lstm"},
        {"arch": "gru", "attention": "additive", "input_feeding": True},
        {"arch": "mingru", "attention": "multihead"},
        {"arch": "transformer", "layers": 1, "decoder_layers": 2, **WHOLE},
        {"arch": "hybrid", "layers": 1, "decoder_layers": 1, **WHOLE},
    ],
    ids=str,
)
def test_guided_attention_follows_links_sooner(changes: dict[str, Any]) -> None:
    (plain, plain_nats, before), (guided, guided_nats, reports) = trained(changes, None), trained(changes, 1.0)
    assert guided.error_rate < plain.error_rate - 0.05
    assert guided_nats < plain_nats - 0.1
    assert all(0 < report.attention.loss / report.attention.tokens < 3 for report in reports)
    assert all(report.attention is None for report in before)
    assert reports[0].nll == before[0].nll, "the same initial weights"


def test_attention_loss_is_a_mean_over_linked_tokens() -> None:
    """A batch without links still trains."""
    network = build(arch="gru")
    data = sentences([[4, 5, 6], [7]]), sentences([[6, 5], [7, 7, 7]])
    guidance = AttentionSupervision(pack([[(0, 1), (1, 1), (2, 0)], []]), 0.2)
    optimizer = NetworkOptimizer(network, OptimizerSettings("adam"), Path())
    task = Seq2SeqTask(network, *data, Seq2SeqObjective(0.1, torch.float32), optimizer, guidance)
    linked, bare = task.step([np.array([0])], 1e-3), task.step([np.array([1])], 1e-3)
    assert linked.attention is not None
    assert (linked.attention.tokens, bare.attention) == (2, None)
    assert math.isfinite(bare.gradient_norm)
    assert bare.gradient_norm > 0


def test_the_weight_scales_the_attention_gradient_only() -> None:
    """The norm of the step's gradient is that of loss / tokens + weight * attention / linked tokens."""
    source, target, points = copies(5, seed=4)
    data, batch = (sentences(source), sentences(target)), np.arange(5)
    for weight in (0.0, 0.2, 3.0):
        network = build(arch="lstm")
        guidance = AttentionSupervision(pack(points), weight)
        pairs, linked = gather_pairs(*data, batch, CPU), guidance.batch_links(batch, CPU)
        loss, _ = network.loss(pairs.source_BS, pairs.lengths_B, pairs.input_BT, pairs.target_BT, 0.1)
        whole = loss / sum(len(row) + 1 for row in target)
        whole = whole + weight * attention_loss(network, data, guidance, batch.tolist()) / linked.tokens
        grads = torch.autograd.grad(whole, list(network.parameters()), allow_unused=True)
        norm = math.sqrt(sum(float((grad**2).sum()) for grad in grads if grad is not None))
        task = Seq2SeqTask(
            network,
            *data,
            Seq2SeqObjective(0.1, torch.float32),
            NetworkOptimizer(network, OptimizerSettings("adam"), Path()),
            guidance,
        )
        assert task.step([batch], 0.0).gradient_norm == pytest.approx(norm, rel=1e-4)
