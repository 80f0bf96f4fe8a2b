"""A bidirectional LSTM tagger made of torch's own layers: the rival of rnnkit's training speed in `labelling.py`.

    python plain_tagger.py JOB

The network is that of Lample et al. (2016, arXiv:1603.01360) with a softmax: word embedding and the last states of a
character LSTM in both directions, a bidirectional LSTM, a linear layer.

    x_t = [E w_t ; LSTM(characters of word t)]      h = BiLSTM(x)      s_t = W h_t + b

It has the sizes of rnnkit's default tagger, and trains on the same batches, of similar length, with the end of a
sentence as its last word. Sequences are packed, and words and characters are encoded as numbers before training.

JOB is a JSON object: `text` and `labels`, files with one sentence per line; `characters`, `occurrence` to encode the
characters of each word of a batch or `distinct` to encode those of each distinct word once; `batch_tokens`, `seed`,
`skip`, steps that are not timed, and `steps`, those that are; `sizes`, the fields of `Sizes`. The result is one JSON
object: `seconds`, `processor`, `words`.

Shapes: B sentences, T words, W encoded words, N characters, E embedding, H hidden, C labels.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from rnnkit.data.batch_sampler import plan_epoch
from rnnkit.data.word_table import Alphabet

CLIP = 5.0
UNKNOWN_CONSTANT = 0.25
"""A word that occurs n times is replaced by <unk> with probability a / (a + n) in training."""

PAD, UNK, END = 0, 1, 2
IGNORED = -100
DISTINCT = "distinct"


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network, as the options of `rnnkit train-tagger` have them: of both directions together."""

    embedding: int
    character_embedding: int
    character_hidden: int
    hidden: int
    layers: int
    dropout: float
    learning_rate: float


@dataclass(frozen=True)
class Sentence:
    """A sentence, with its end as the last word.

    Attributes:
        word_T: Id of each word.
        label_T: Its label; `IGNORED` for the end.
    """

    word_T: Tensor
    label_T: Tensor


@dataclass(frozen=True)
class TrainingText:
    """Encoded sentences.

    Attributes:
        sentences: The sentences.
        characters: Ids of the characters of each word.
        unknown_rate_V: Probability of replacing each word by <unk>.
        alphabet: Number of characters.
        labels: Number of labels.
    """

    sentences: Sequence[Sentence]
    characters: Sequence[Tensor]
    unknown_rate_V: Tensor
    alphabet: int
    labels: int


class PlainTagger(nn.Module):
    """The network.

    Args:
        text: Text to train on, for the numbers of words, characters and labels.
        sizes: Sizes of the layers.
    """

    def __init__(self, text: TrainingText, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(text.characters), sizes.embedding, padding_idx=PAD)
        self.character_embedding = nn.Embedding(text.alphabet, sizes.character_embedding, padding_idx=PAD)
        self.character_layer = nn.LSTM(
            sizes.character_embedding, sizes.character_hidden // 2, bidirectional=True, batch_first=True
        )
        self.layers = nn.LSTM(
            sizes.embedding + sizes.character_hidden,
            sizes.hidden // 2,
            sizes.layers,
            bidirectional=True,
            batch_first=True,
            dropout=sizes.dropout,
        )
        self.output = nn.Linear(sizes.hidden, text.labels)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self, word_BT: Tensor, length_B: Tensor, character_WN: Tensor, length_W: Tensor, index_BT: Tensor
    ) -> Tensor:
        """Compute the scores of labels (B, T, C).

        Args:
            word_BT: Ids of words, padded on the right.
            length_B: Words of each sentence.
            character_WN: Characters of the encoded words, padded on the right.
            length_W: Characters of each.
            index_BT: For each word, its row in `character_WN`.
        """
        x_WNE = self.dropout(self.character_embedding(character_WN))
        packed = pack_padded_sequence(x_WNE, length_W, batch_first=True, enforce_sorted=False)
        _, (last_2WH, _) = self.character_layer(packed)
        encoded_WH = torch.cat([last_2WH[0], last_2WH[1]], dim=1)
        x_BTE = self.dropout(torch.cat([self.embedding(word_BT), encoded_WH[index_BT]], dim=2))
        state, _ = self.layers(pack_padded_sequence(x_BTE, length_B, batch_first=True, enforce_sorted=False))
        state_BTH, _ = pad_packed_sequence(state, batch_first=True)
        scores_BTC: Tensor = self.output(self.dropout(state_BTH))
        return scores_BTC


def read(path: str) -> list[list[str]]:
    """Read words or labels, one sentence per line."""
    return [line.split(" ") for line in Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def encode(sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> TrainingText:
    """Encode words, characters and labels as numbers."""
    counts = Counter(word for sentence in sentences for word in sentence)
    words = {word: number for number, word in enumerate(counts, start=END + 1)}
    label_ids = {label: number for number, label in enumerate(sorted({label for row in labels for label in row}))}
    alphabet = Alphabet.of_words(counts)
    empty = torch.tensor(alphabet.encode(""))
    rate_V = torch.zeros(END + 1 + len(words))
    rate_V[END + 1 :] = torch.tensor([UNKNOWN_CONSTANT / (UNKNOWN_CONSTANT + count) for count in counts.values()])
    encoded = [
        Sentence(
            torch.tensor([*(words[word] for word in sentence), END]),
            torch.tensor([*(label_ids[label] for label in row), IGNORED]),
        )
        for sentence, row in zip(sentences, labels, strict=True)
    ]
    characters = [empty] * (END + 1) + [torch.tensor(alphabet.encode(word)) for word in words]
    return TrainingText(encoded, characters, rate_V, len(alphabet), len(label_ids))


def train_step(
    network: PlainTagger, optimizer: torch.optim.Optimizer, text: TrainingText, rows: Sequence[int], distinct: bool
) -> None:
    """Train on a batch of sentences."""
    batch = [text.sentences[row] for row in rows]
    length_B = torch.tensor([len(sentence.word_T) for sentence in batch])
    word_BT = pad_sequence([sentence.word_T for sentence in batch], batch_first=True, padding_value=PAD)
    label_BT = pad_sequence([sentence.label_T for sentence in batch], batch_first=True, padding_value=IGNORED)
    real_BT = word_BT != PAD
    index_BT = torch.zeros_like(word_BT)
    if distinct:
        encoded_W, index_BT[real_BT] = torch.unique(word_BT[real_BT], return_inverse=True)
    else:
        encoded_W = word_BT[real_BT]
        index_BT[real_BT] = torch.arange(len(encoded_W))
    characters = [text.characters[word] for word in encoded_W.tolist()]
    length_W = torch.tensor([len(word) for word in characters])
    character_WN = pad_sequence(characters, batch_first=True, padding_value=PAD)
    dropped_BT = torch.rand(word_BT.shape) < text.unknown_rate_V[word_BT]
    scores_BTC = network(word_BT.masked_fill(dropped_BT, UNK), length_B, character_WN, length_W, index_BT)
    loss = nn.functional.cross_entropy(scores_BTC.flatten(0, 1), label_BT.flatten(), ignore_index=IGNORED)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()


def first_batches(sentences: Sequence[Sequence[str]], batch_tokens: int, seed: int) -> list[list[int]]:
    """Return the batches of the first epoch, those of `rnnkit train-tagger`."""
    lengths = np.array([len(sentence) + 1 for sentence in sentences])
    return [batch.tolist() for batch in plan_epoch([lengths], batch_tokens, seed, 0)]


def main() -> None:
    """Train, and print the time and the number of words."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(job["seed"])
    sentences = read(job["text"])
    text = encode(sentences, read(job["labels"]))
    batches = first_batches(sentences, job["batch_tokens"], job["seed"])[: job["skip"] + job["steps"]]
    sizes = Sizes(**job["sizes"])
    network = PlainTagger(text, sizes)
    optimizer = torch.optim.Adam(network.parameters(), sizes.learning_rate)
    for number, rows in enumerate(batches):
        if number == job["skip"]:
            start, start_processor = time.perf_counter(), time.process_time()
        train_step(network, optimizer, text, rows, job["characters"] == DISTINCT)
    seconds, processor = time.perf_counter() - start, time.process_time() - start_processor
    words = sum(len(sentences[row]) for rows in batches[job["skip"] :] for row in rows)
    print(json.dumps({"seconds": seconds, "processor": processor, "words": words}))


if __name__ == "__main__":
    main()
