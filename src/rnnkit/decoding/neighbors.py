"""What the tokens of a batch's rows show to each other, in the order in which they are said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.edges import STUCK, Edge, resolve
from rnnkit.decoding.phrases import Phrase
from rnnkit.text.word_boundaries import BREAK


@dataclass(frozen=True)
class Ends:
    """What tokens, or whole spellings, show in the order in which they are said.

    Attributes:
        kind: Kind of the character at that end.
        joins: Whether it is written against its neighbour there.
    """

    kind: Tensor
    joins: Tensor

    def __getitem__(self, index: object) -> Ends:
        return Ends(self.kind[index], self.joins[index])  # type: ignore[index]


def ends_of(edges: Sequence[Sequence[Edge]], backwards: bool) -> tuple[Ends, Ends]:
    """What each of a row of edges shows to the text before it, and to the text behind it."""
    first = Ends(_table(edges, "first", torch.long), _table(edges, "joins_left", torch.bool))
    last = Ends(_table(edges, "last", torch.long), _table(edges, "joins_right", torch.bool))
    return (last, first) if backwards else (first, last)


def _table(edges: Sequence[Sequence[Edge]], name: str, kind: torch.dtype) -> Tensor:
    rows = [[getattr(edge, name) for edge in many] for many in edges]
    return torch.tensor(rows, dtype=kind).view(len(rows), max(map(len, rows), default=0))


class Neighbors:
    """What the tokens of the vocabulary, and each sentence's own behind them, show.

    Args:
        texts: The phrases of each sentence.
        backwards: Whether outputs are said from their ends.
    """

    def __init__(self, texts: Sequence[Sequence[Phrase]], backwards: bool) -> None:
        self._backwards = backwards
        self._rows = next(many[0].edges for many in texts if many).rows
        own = [many[0].own if many else None for many in texts]
        width = max((len(one.first_V) for one in own if one is not None), default=0) + 1
        unclear = (STUCK, STUCK, True, True, -1)
        self._own = tuple(
            torch.full((len(own), width), value, dtype=part.dtype)
            for value, part in zip(unclear, self._rows, strict=True)
        )
        for sentence, one in enumerate(own):
            for part, values in zip(self._own, one.rows if one is not None else (), strict=one is not None):
                part[sentence, : len(values)] = values

    def of(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[Ends, Ends]:
        """What tokens show to the text before them, and behind them."""
        first, last, left, right, _ = self._look_up(ids_BKM, sentence_B)
        return self._in_order(Ends(first, left), Ends(last, right))

    def of_all(self, sentence_N: Tensor, size: int) -> tuple[Ends, Ends]:
        """The same of all tokens that a sentence has, up to a number of them (N, V)."""
        into, out_of = self.of(torch.arange(size).expand(len(sentence_N), 1, -1), sentence_N)
        return into[:, 0], out_of[:, 0]

    def in_rows(self, ids_BKT: Tensor, sentence_B: Tensor) -> tuple[Ends, Ends]:
        """The same of the tokens of rows, the start symbol in front, of which bytes make characters together."""
        first, last, left, right, octet = self._look_up(ids_BKT, sentence_B)
        shape = first.shape
        in_text = [(part.flip(-1) if self._backwards else part).flatten(0, 1) for part in (first, last, octet)]
        first, last = resolve(in_text[0], in_text[1], in_text[2], self._backwards)
        first, last = (part.view(shape).flip(-1) if self._backwards else part.view(shape) for part in (first, last))
        front = torch.nn.functional.pad
        return self._in_order(
            Ends(front(first, (1, 0), value=BREAK), front(left, (1, 0))),
            Ends(front(last, (1, 0), value=BREAK), front(right, (1, 0))),
        )

    def _look_up(self, ids_BKM: Tensor, sentence_B: Tensor) -> tuple[Tensor, ...]:
        size, width = len(self._rows[0]), self._own[0].shape[1]
        known_BKM, own_BKM = ids_BKM.clamp_max(size - 1), (ids_BKM - size).clamp(0, width - 1)
        if width == 1 and not bool((ids_BKM >= size).any()):
            return tuple(part[known_BKM] for part in self._rows)
        sentence_B11 = sentence_B[:, None, None]
        return tuple(
            torch.where(ids_BKM < size, part[known_BKM], own[sentence_B11, own_BKM])
            for part, own in zip(self._rows, self._own, strict=True)
        )

    def _in_order(self, first: Ends, last: Ends) -> tuple[Ends, Ends]:
        return (last, first) if self._backwards else (first, last)
