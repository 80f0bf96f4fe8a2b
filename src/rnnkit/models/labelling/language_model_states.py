"""States of frozen character language models as representations of words (Akbik et al. 2018, C18-1139).

    c_1 ... c_N                         characters of a line, words separated by blanks; word s is c_i ... c_j
    f_s = forward state after c_j       a forward language model has read the line up to the end of the word
    b_s = backward state after c_i      a backward one has read the line, from its end, down to the start of the word

The state is that of the top layer, after the word's last character in the direction of reading: the blank beside the
word, after which Akbik et al. read it, does not exist at the ends of a line and before punctuation marks. Each line
starts from the zero state and EOS, like the lines of training. The end of a sentence, a word without characters, has
the state after all characters and the one before any.

The states of a line depend on the line alone. On processors with the kernels of `rnnkit.kernels` they are the same bits
alone, in any batch, and for any number of threads; they are rounded to float16.

Shapes: B lines of a batch, N characters or words, T words of a line, H size of a state, D of all states of a word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnnkit.data.batch_sampler import pad_sequences
from rnnkit.data.character_spelling import Ids, SpelledLine, WordSpeller
from rnnkit.data.state_cache import States
from rnnkit.kernels.dispatch import MIN_ROWS_FOR_KERNELS
from rnnkit.models.language_model import LanguageModelNetwork
from rnnkit.models.lm_store import LoadedLanguageModel
from rnnkit.text.special_tokens import EOS
from rnnkit.text.tokenizer import Tokenizer

BATCH_CHARACTERS = 4096
"""Characters per batch, padding included."""

BLOCK_STEPS = 512
"""Characters of each line that are read at once; longer lines continue with their state. Bounds the memory."""


class LanguageModelStates:
    """Computes the states of one or two language models.

    Args:
        models: A forward and a backward language model over the same characters, or one of them; in evaluation mode.
    """

    def __init__(self, models: Sequence[LoadedLanguageModel]) -> None:
        self.models = tuple(models)
        self.size = sum(state_size(model.network) for model in models)

    @property
    def directions(self) -> list[str]:
        """Directions of the language models, in the order of their states."""
        return [model.network.config.direction for model in self.models]

    def speller(self, marks: Tokenizer | None) -> WordSpeller:
        """Return the speller of words, given their tokenizer if they have its marks."""
        first = self.models[0]
        if first.tokenizer is None:
            raise ValueError(f"{first.folder} has no tokenizer")
        return WordSpeller(first.tokenizer, first.vocabulary, marks)

    def compute(self, lines: Sequence[SpelledLine]) -> list[States]:
        """Compute the states of the words of each line (T, D)."""
        found: list[States] = [np.zeros((0, self.size), np.float16)] * len(lines)
        for batch in _batches(lines):
            parts = [_run(model.network, [lines[index] for index in batch]) for model in self.models]
            states_ND = torch.cat(parts, dim=1).cpu().numpy()
            ends = np.cumsum([len(lines[index].end_T) for index in batch])
            for index, states_TD in zip(batch, np.split(states_ND, ends[:-1]), strict=True):
                found[index] = states_TD
        return found

    def compute_padded(self, lines: Sequence[SpelledLine]) -> States:
        """Compute the states of the words of each line, padded with 0 on the right (B, T, D)."""
        longest = max(len(line.end_T) for line in lines)
        padded_BTD = np.zeros((len(lines), longest, self.size), np.float16)
        for padded_TD, states_TD in zip(padded_BTD, self.compute(lines), strict=True):
            padded_TD[: len(states_TD)] = states_TD
        return padded_BTD


def state_size(network: LanguageModelNetwork) -> int:
    """Return the size of the top layer's state."""
    return int(network.output_weight.shape[1])


def _batches(lines: Sequence[SpelledLine]) -> list[list[int]]:
    """Split lines into batches of similar length, the longest first, at least one line each."""
    order = sorted(range(len(lines)), key=lambda index: -len(lines[index].id_N))
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, BATCH_CHARACTERS // _steps(len(lines[order[start]].id_N)))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _steps(characters: int) -> int:
    """Return the number of steps for a line: EOS and its characters, padded so that kernels run the last block, too.

    A block of fewer rows would run in torch, with other rounding than the same line in a larger batch.
    """
    rest = (characters + 1) % BLOCK_STEPS or BLOCK_STEPS
    return characters + 1 + max(0, MIN_ROWS_FOR_KERNELS - rest)


@torch.no_grad()
def _run(network: LanguageModelNetwork, lines: Sequence[SpelledLine]) -> Tensor:
    """Run a language model over a batch of lines; return the states of all their words (N, H) in float16."""
    backward = network.config.direction == "backward"
    device = network.output_bias.device
    row_N = torch.from_numpy(np.repeat(np.arange(len(lines)), [len(line.end_T) for line in lines])).to(device)
    position_N = torch.from_numpy(np.concatenate([_positions(line, backward) for line in lines])).to(device)
    input_BT = torch.from_numpy(_inputs(lines, backward)).to(device)
    states_NH = torch.zeros(len(row_N), state_size(network), dtype=torch.float16, device=device)
    state = network.initial_state(len(lines))
    with torch.autocast(device.type, enabled=False):
        for start in range(0, input_BT.shape[1], BLOCK_STEPS):
            output = network.hidden_states(input_BT[:, start : start + BLOCK_STEPS], state)
            state = output.state
            inside_N = (position_N >= start) & (position_N < start + BLOCK_STEPS)
            states_NH[inside_N] = output.raw_BTE[row_N[inside_N], position_N[inside_N] - start].half()
    return states_NH


def _positions(line: SpelledLine, backward: bool) -> Ids:
    """Return the number of characters that are read when the state of each word is taken, (T,)."""
    return len(line.id_N) - line.start_T if backward else line.end_T


def _inputs(lines: Sequence[SpelledLine], backward: bool) -> Ids:
    """Return the input of a batch: EOS, then the characters in the direction of reading, padded on the right (B, T)."""
    padded_BT, _ = pad_sequences([line.id_N[::-1] if backward else line.id_N for line in lines])
    input_BT = np.zeros((len(lines), _steps(padded_BT.shape[1])), np.int64)
    input_BT[:, 0] = EOS
    input_BT[:, 1 : 1 + padded_BT.shape[1]] = padded_BT
    return input_BT
