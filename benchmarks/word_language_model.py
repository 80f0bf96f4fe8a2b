"""What PyTorch's example `word_language_model` computes, said anew: the rival of `language_models.py`.

The example (github.com/pytorch/examples) is a script and no package. Its model and its training step are torch's own
parts in a fixed order, so that what it costs and what it reaches can be measured without its text:

    embedding, dropout, nn.LSTM or nn.GRU with dropout between its layers, dropout, linear, log-softmax
    columns of batchified text, `bptt` steps with the state carried on, mean negative log-likelihood,
    gradient cut to norm 0.25, plain SGD at rate 20, the rate a quarter whenever the validation loss has not fallen
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

CLIP, RATE, START = 0.25, 20.0, 0.1
EVALUATION_COLUMNS = 10

State = Tensor | tuple[Tensor, Tensor]


class WordLanguageModel(nn.Module):
    """The example's network.

    Args:
        arch: `LSTM` or `GRU`.
        vocabulary: Tokens.
        size: Of embeddings and states.
        layers: Recurrent layers.
        dropout: Share dropped.
        tied: Whether the output matrix is the embeddings.
    """

    def __init__(self, arch: str, vocabulary: int, size: int, layers: int, dropout: float, tied: bool) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocabulary, size)
        self.recurrent: nn.RNNBase = getattr(nn, arch)(size, size, layers, dropout=dropout)
        self.output = nn.Linear(size, vocabulary)
        nn.init.uniform_(self.embedding.weight, -START, START)
        nn.init.uniform_(self.output.weight, -START, START)
        nn.init.zeros_(self.output.bias)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, input_TB: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Log-probabilities (T x B, V) and the last state."""
        x_TBE = self.dropout(self.embedding(input_TB))
        h_TBH, state = self.recurrent(x_TBE, state)
        logits_NV = self.output(self.dropout(h_TBH)).flatten(0, 1)
        return torch.log_softmax(logits_NV, dim=1), state


class Example:
    """The example's training.

    Args:
        network: What learns.
        ids: The training text.
        columns: Its batch size.
        steps: Its bptt.
    """

    def __init__(self, network: WordLanguageModel, ids: np.ndarray, columns: int, steps: int) -> None:
        self.network = network
        self.rate = RATE
        self._text_MB = batchify(ids, columns)
        self._steps = steps

    def epoch(self) -> Iterator[int]:
        """One pass; yields the tokens of each step once it is done."""
        self.network.train()
        state: State | None = None
        for input_TB, target_N in pieces(self._text_MB, self._steps):
            state = detach(state)
            self.network.zero_grad()
            log_p_NV, state = self.network(input_TB, state)
            torch.autograd.backward(nn.functional.nll_loss(log_p_NV, target_N))
            nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
            with torch.no_grad():
                for parameter in self.network.parameters():
                    if parameter.grad is not None:
                        parameter.add_(parameter.grad, alpha=-self.rate)
            yield len(target_N)

    @torch.no_grad()
    def loss(self, ids: np.ndarray) -> float:
        """Mean negative log-likelihood of a token, as the example measures it: in ten columns."""
        self.network.eval()
        state: State | None = None
        total, tokens = 0.0, 0
        for input_TB, target_N in pieces(batchify(ids, EVALUATION_COLUMNS), self._steps):
            log_p_NV, state = self.network(input_TB, state)
            total += nn.functional.nll_loss(log_p_NV, target_N, reduction="sum").item()
            tokens += len(target_N)
        return total / tokens


def train(example: Example, valid: np.ndarray, epochs: int) -> Iterator[float]:
    """Train as the example does; yields the validation perplexity after each pass."""
    best = math.inf
    for _ in range(epochs):
        for _ in example.epoch():
            pass
        loss = example.loss(valid)
        if loss < best:
            best = loss
        else:
            example.rate /= 4
        yield math.exp(loss)


def batchify(ids: np.ndarray, columns: int) -> Tensor:
    """The text in columns (M, B); what does not fill a row is left out."""
    length = len(ids) // columns
    return torch.from_numpy(ids[: length * columns].astype(np.int64)).view(columns, length).t().contiguous()


def pieces(text_MB: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """What is read (T, B), and what is predicted (T x B)."""
    for begin in range(0, len(text_MB) - 1, steps):
        end = min(begin + steps, len(text_MB) - 1)
        yield text_MB[begin:end], text_MB[begin + 1 : end + 1].flatten()


def detach(state: State | None) -> State | None:
    """The state without its history."""
    if state is None or isinstance(state, Tensor):
        return None if state is None else state.detach()
    return state[0].detach(), state[1].detach()
