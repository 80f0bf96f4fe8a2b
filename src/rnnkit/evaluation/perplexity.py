"""What a language model makes of a text: the exact probability of every token, and from it the perplexity.

    loss       = -1/N sum over t of ln p(w_t | what was read before)        N tokens, `</s>` of each line counted
    perplexity = exp(loss)

A model of streams reads the text as one row, from a zero state and `</s>`, in blocks that hand on the state: however
long a block is, each token is predicted from everything before it. A model of lines reads each line by itself, many
at once, padded on the right, where nothing is looked at. Everything is in float32 and sums are in float64, so that
neither blocks nor batches nor the device change more than the last digits. Training, `score` and dynamic evaluation
all read through here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.io.npy import IntArray
from rnnkit.models.language_model import LanguageModel, LMState
from rnnkit.text import special_tokens

FloatArray = NDArray[np.float64]

BLOCK_TOKENS = 512
"""Tokens of a stream read between two looks at the output layer."""

BATCH_TOKENS = 4096
"""Tokens of a batch of lines, padding counted."""

GROUP_TOKENS = 1 << 14
"""Lines of so many tokens are sorted by length together."""


@dataclass(frozen=True)
class ScoredBlock:
    """Some tokens of a text in a row, predicted.

    Attributes:
        hidden_NE: What the output layer saw before each token.
        target_N: The tokens.
        log_p_N: Natural logarithm of the probability of each, on the CPU.
    """

    hidden_NE: Tensor
    target_N: Tensor
    log_p_N: FloatArray


class Evaluator(Protocol):
    """Reads a text piece by piece; what it remembers of one piece it knows in the next."""

    def read(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Predict the tokens of the next lines, in order."""
        ...


class StreamEvaluator:
    """Reads lines that follow each other.

    Args:
        network: The model. Whatever mode it is in, it reads as in evaluation.
        block: Tokens read at once.
    """

    def __init__(self, network: LanguageModel, block: int = BLOCK_TOKENS) -> None:
        self._network = network
        self._block = block
        self._last = special_tokens.EOS
        self._state: LMState | None = None

    def read(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Predict the tokens of the next lines, in order."""
        for begin in range(0, len(text.ids), self._block):
            yield self._read(text.ids[begin : begin + self._block])

    def _read(self, ids_T: IntArray) -> ScoredBlock:
        with exact_evaluation(self._network) as network:
            device = network.output_bias.device
            target_T = ids_tensor(ids_T, device)
            input_T = torch.cat([target_T.new_tensor([self._last]), target_T[:-1]])
            state = network.initial_state(1) if self._state is None else self._state
            with single_thread(device):
                reading = network.hidden_states(input_T.unsqueeze(0), state)
            self._last, self._state = int(ids_T[-1]), reading.state
            hidden_TE = reading.hidden_BTE[0]
            return ScoredBlock(hidden_TE, target_T, target_log_probs(network, hidden_TE, target_T))


class LineEvaluator:
    """Reads lines each of which starts from nothing.

    Args:
        network: The model. Whatever mode it is in, it reads as in evaluation.
        block: Tokens of each line read at once; longer lines are read on with their state.
        batch_tokens: Tokens of a batch, padding counted.
    """

    def __init__(self, network: LanguageModel, block: int = BLOCK_TOKENS, batch_tokens: int = BATCH_TOKENS) -> None:
        self._network = network
        self._block = block
        self._batch_tokens = batch_tokens

    def read(self, text: SentenceDataset) -> Iterator[ScoredBlock]:
        """Predict the tokens of the next lines, in order."""
        for first, end in _groups(text.offsets):
            begin, stop = int(text.offsets[first]), int(text.offsets[end])
            yield self._read(text.ids[begin:stop], text.offsets[first : end + 1] - begin)

    def _read(self, ids_N: IntArray, offsets: IntArray) -> ScoredBlock:
        """Predict the tokens of some lines: batches of equal length first, the order of the text again at the end."""
        with exact_evaluation(self._network) as network:
            target_N = ids_tensor(ids_N, network.output_bias.device)
            hidden_NE = target_N.new_zeros((len(target_N), network.output_weight.shape[1]), dtype=torch.float32)
            for lines in _batches(np.diff(offsets), self._batch_tokens):
                self._read_batch(network, target_N, offsets[lines], np.diff(offsets)[lines], hidden_NE)
            return ScoredBlock(hidden_NE, target_N, target_log_probs(network, hidden_NE, target_N))

    def _read_batch(
        self, network: LanguageModel, target_N: Tensor, begins: IntArray, lengths: IntArray, hidden_NE: Tensor
    ) -> None:
        """Read some lines side by side, and put what the output layer saw where it belongs."""
        state = network.initial_state(len(begins))
        for start in range(0, int(lengths.max()), self._block):
            steps = np.arange(start, min(start + self._block, int(lengths.max())))
            inside_BT = torch.from_numpy(steps < lengths[:, None]).to(target_N.device)
            place_BT = torch.from_numpy(begins[:, None] + np.minimum(steps, lengths[:, None] - 1)).to(target_N.device)
            input_BT = target_N[(place_BT - 1).clamp(min=0)]
            if start == 0:
                input_BT[:, 0] = special_tokens.EOS
            reading = network.hidden_states(input_BT, state)
            state = reading.state
            hidden_NE[place_BT[inside_BT]] = reading.hidden_BTE[inside_BT]


def make_evaluator(network: LanguageModel, block: int = BLOCK_TOKENS) -> Evaluator:
    """The reader for what the model was trained on: a stream, or lines that stand alone."""
    return LineEvaluator(network, block) if network.config.context == "line" else StreamEvaluator(network, block)


def stream_log_probs(network: LanguageModel, ids: IntArray, block: int = BLOCK_TOKENS) -> FloatArray:
    """Natural logarithm of the probability of each token of one stream.

    Args:
        network: A model of streams.
        ids: All tokens, each line with its EOS.
        block: Tokens read at once; decides about nothing but time and memory.
    """
    return token_log_probs(StreamEvaluator(network, block), SentenceDataset(ids, np.array([0, len(ids)])))


def token_log_probs(reader: Evaluator, text: SentenceDataset) -> FloatArray:
    """Natural logarithm of the probability of each token of a text without padding."""
    return np.concatenate([np.zeros(0), *(block.log_p_N for block in reader.read(text))])


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that is too large for a number."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def remove_padding(sentences: SentenceDataset) -> SentenceDataset:
    """The same sentences one directly after the other."""
    if not sentences.padded:
        return sentences
    offsets = np.concatenate(([0], np.cumsum(sentences.lengths(), dtype=np.int64)))
    return SentenceDataset(sentences.ids[sentences.ids != special_tokens.PAD], offsets)


@contextlib.contextmanager
def exact_evaluation(network: LanguageModel) -> Iterator[LanguageModel]:
    """A context in which the network is exact: no dropout, no gradient, no type shorter than float32."""
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
    """A context in which CUDA multiplies float32 as float32, and not as the shorter TF32."""
    products, layers = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, layers.allow_tf32
    products.allow_tf32 = layers.allow_tf32 = False
    try:
        yield
    finally:
        products.allow_tf32, layers.allow_tf32 = before


@contextlib.contextmanager
def single_thread(device: torch.device) -> Iterator[None]:
    """A context for work on a single row on a CPU: too little to share, threads would wait for each other."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def target_log_probs(network: LanguageModel, hidden_NE: Tensor, target_N: Tensor) -> FloatArray:
    """Natural logarithm of the probability of each target (N,), on the CPU."""
    return -network.nll(hidden_NE, target_N).double().cpu().numpy()


def ids_tensor(ids: IntArray, device: torch.device) -> Tensor:
    """Ids as torch wants them, on a device."""
    return torch.from_numpy(ids.astype(np.int64)).to(device)


def _groups(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of lines with about `GROUP_TOKENS` tokens each, none empty."""
    first, lines = 0, len(offsets) - 1
    while first < lines:
        end = int(np.searchsorted(offsets, offsets[first] + GROUP_TOKENS, side="right")) - 1
        yield first, max(first + 1, end)
        first = max(first + 1, end)


def _batches(lengths: IntArray, batch_tokens: int) -> Iterator[NDArray[Any]]:
    """Lines in batches of like length, the longest first; each batch holds one line at least."""
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, batch_tokens // max(1, int(lengths[order[begin]])))
        yield order[begin : begin + rows]
        begin += rows
