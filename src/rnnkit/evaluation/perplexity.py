"""Exact log-probabilities of the tokens of a text under a neural language model, and the perplexity.

    loss       = -1/N sum over t of ln p(w_t | w_1 … w_{t-1})        N tokens, counting `</s>` of each line
    perplexity = exp(loss)

A model of streams processes the text as one sequence, from a zero state and `</s>`, in blocks that pass on the state:
whatever the block size, each token is predicted from all tokens before it. A model of lines processes each line
independently, in batches with masked padding on the right. Computation is in float32 and sums are in float64, so block
size, batch size and device change only the last digits. Training, `score` and dynamic evaluation share this code.

Shapes: N tokens, T tokens of a block, B lines of a batch, E embedding.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModelNetwork, LMState
from rnnkit.text import special_tokens

FloatArray = NDArray[np.float64]

BLOCK_TOKENS = 512
"""Tokens per block."""

BATCH_TOKENS = 4096
"""Tokens per batch of lines, including padding."""

GROUP_TOKENS = 1 << 14
"""Tokens per group of lines; batches of similar length are formed within a group."""


@dataclass(frozen=True)
class ScoredBlock:
    """Consecutive tokens of a text with their log-probabilities.

    Attributes:
        hidden_NE: Input of the output layer that predicts each token.
        target_N: The tokens.
        log_p_N: ln p of each token, on the CPU.
    """

    hidden_NE: Tensor
    target_N: Tensor
    log_p_N: FloatArray


class Evaluator(Protocol):
    """Scores a text in consecutive parts, and keeps the state of the model between them."""

    def evaluate(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Score the tokens of the next lines, in order."""
        ...


class StreamEvaluator:
    """Scores lines as one continuous stream.

    Args:
        network: The model; it runs in evaluation mode, and its own mode is restored.
        block: Tokens per block.
    """

    def __init__(self, network: LanguageModelNetwork, block: int = BLOCK_TOKENS) -> None:
        self._network = network
        self._block = block
        self._last = special_tokens.EOS
        self._state: LMState | None = None

    def evaluate(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Score the tokens of the next lines, in order."""
        for begin in range(0, len(text.ids), self._block):
            yield self._score_block(text.ids[begin : begin + self._block])

    def _score_block(self, ids_T: IntArray) -> ScoredBlock:
        with exact_evaluation(self._network) as network:
            device = network.output_bias.device
            target_T = ids_tensor(ids_T, device)
            input_T = torch.cat([target_T.new_tensor([self._last]), target_T[:-1]])
            state = network.initial_state(1) if self._state is None else self._state
            with single_thread(device):
                output = network.hidden_states(input_T.unsqueeze(0), state)
            self._last, self._state = int(ids_T[-1]), output.state
            hidden_TE = output.hidden_BTE[0]
            return ScoredBlock(hidden_TE, target_T, target_log_probs(network, hidden_TE, target_T))


class LineEvaluator:
    """Scores each line independently, from a zero state.

    Args:
        network: The model; it runs in evaluation mode, and its own mode is restored.
        block: Tokens of each line per block; longer lines continue with their state.
        batch_tokens: Tokens per batch, including padding.
    """

    def __init__(
        self, network: LanguageModelNetwork, block: int = BLOCK_TOKENS, batch_tokens: int = BATCH_TOKENS
    ) -> None:
        self._network = network
        self._block = block
        self._batch_tokens = batch_tokens

    def evaluate(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Score the tokens of the next lines, in order."""
        for first, end in _groups(text.offsets):
            begin, stop = int(text.offsets[first]), int(text.offsets[end])
            yield self._score_group(text.ids[begin:stop], text.offsets[first : end + 1] - begin)

    def _score_group(self, ids_N: IntArray, offsets: IntArray) -> ScoredBlock:
        """Score a group of lines in batches of similar length; the result is in the order of the text."""
        with exact_evaluation(self._network) as network:
            target_N = ids_tensor(ids_N, network.output_bias.device)
            hidden_NE = target_N.new_zeros((len(target_N), network.output_weight.shape[1]), dtype=torch.float32)
            for lines in _batches(np.diff(offsets), self._batch_tokens):
                self._run_batch(network, target_N, offsets[lines], np.diff(offsets)[lines], hidden_NE)
            return ScoredBlock(hidden_NE, target_N, target_log_probs(network, hidden_NE, target_N))

    def _run_batch(
        self, network: LanguageModelNetwork, target_N: Tensor, begins: IntArray, lengths: IntArray, hidden_NE: Tensor
    ) -> None:
        """Run the network on a batch of lines, and write the inputs of the output layer to their positions."""
        state = network.initial_state(len(begins))
        for start in range(0, int(lengths.max()), self._block):
            steps = np.arange(start, min(start + self._block, int(lengths.max())))
            inside_BT = torch.from_numpy(steps < lengths[:, None]).to(target_N.device)
            position_BT = torch.from_numpy(begins[:, None] + np.minimum(steps, lengths[:, None] - 1))
            position_BT = position_BT.to(target_N.device)
            input_BT = target_N[(position_BT - 1).clamp(min=0)]
            if start == 0:
                input_BT[:, 0] = special_tokens.EOS
            output = network.hidden_states(input_BT, state)
            state = output.state
            hidden_NE[position_BT[inside_BT]] = output.hidden_BTE[inside_BT]


def make_evaluator(network: LanguageModelNetwork, block: int = BLOCK_TOKENS) -> Evaluator:
    """Return the evaluator for what the model was trained on: a stream, or independent lines."""
    return LineEvaluator(network, block) if network.config.context == "line" else StreamEvaluator(network, block)


def stream_log_probs(network: LanguageModelNetwork, ids: IntArray, block: int = BLOCK_TOKENS) -> FloatArray:
    """Compute ln p of each token of one stream.

    Args:
        network: A model of streams.
        ids: All tokens, each line ending in EOS.
        block: Tokens per block; affects only time and memory.
    """
    return token_log_probs(StreamEvaluator(network, block), SentenceDataset(ids, np.array([0, len(ids)])))


def token_log_probs(evaluator: Evaluator, text: SentenceDataset) -> FloatArray:
    """Compute ln p of each token of a text without padding."""
    return np.concatenate([np.zeros(0), *(block.log_p_N for block in evaluator.evaluate(text))])


def perplexity(loss: float) -> float:
    """Return exp(loss), or infinity on overflow."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def remove_padding(sentences: SentenceDataset) -> SentenceDataset:
    """Return the same sentences without padding between them."""
    if not sentences.padded:
        return sentences
    offsets = np.concatenate(([0], np.cumsum(sentences.lengths(), dtype=np.int64)))
    return SentenceDataset(sentences.ids[sentences.ids != special_tokens.PAD], offsets)


@contextlib.contextmanager
def exact_evaluation(network: LanguageModelNetwork) -> Iterator[LanguageModelNetwork]:
    """Context in which the network runs without dropout, gradients, and types shorter than float32."""
    was_training = network.training
    device = network.output_bias.device.type
    network.eval()
    try:
        with torch.no_grad(), torch.autocast(device, enabled=False), full_precision():
            yield network
    finally:
        network.train(was_training)


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Context in which CUDA multiplies float32 in float32 instead of TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextlib.contextmanager
def single_thread(device: torch.device) -> Iterator[None]:
    """Context with one thread on a CPU, for a batch of 1: its operations are too small to split among threads."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def target_log_probs(network: LanguageModelNetwork, hidden_NE: Tensor, target_N: Tensor) -> FloatArray:
    """Compute ln p of each target, (N,), on the CPU."""
    return -network.nll(hidden_NE, target_N).double().cpu().numpy()


def ids_tensor(ids: IntArray, device: torch.device) -> Tensor:
    """Copy ids to a device as int64."""
    return torch.from_numpy(ids.astype(np.int64)).to(device)


def _groups(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Yield ranges of lines with about `GROUP_TOKENS` tokens, at least one line each."""
    first, lines = 0, len(offsets) - 1
    while first < lines:
        end = int(np.searchsorted(offsets, offsets[first] + GROUP_TOKENS, side="right")) - 1
        yield first, max(first + 1, end)
        first = max(first + 1, end)


def _batches(lengths: IntArray, batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Yield batches of lines of similar length, the longest first, at least one line each."""
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, batch_tokens // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + rows]
        begin += rows
