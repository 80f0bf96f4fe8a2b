"""`unigram` and `bpe`: pieces of words, by SentencePiece.

Every text survives: a character that the pieces do not cover is written as its bytes. `▁` is SentencePiece's space,
so a `▁` in the text is written `␛_` before it gets there, and `␛` itself `␛␛`. White space other than the plain space,
which only exact text has, is written `␛` and a number: `␛⑪` is the no-break space. The model has no control symbols: a
`</s>` in the text is cut like any other text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any, Final

from rnnkit.errors import FormatError
from rnnkit.text.normalizer import Normalizer
from rnnkit.text.tokenizers.byte_tokens import (
    BYTE_TOKENS,
    METASPACE,
    OTHER_WHITE_SPACE,
    RESERVED_CHARACTER,
    tokens_to_text,
)
from rnnkit.text.tokenizers.tokenizer import Tokenizer

UNIGRAM: Final = "unigram"
BPE: Final = "bpe"

_ESCAPE: Final = "␛"
# Numbers in circles and brackets, U+2460 onwards: they have no script, so SentencePiece can keep them in one piece.
_NUMBERS: Final = {space: chr(0x2460 + place) for place, space in enumerate(OTHER_WHITE_SPACE)}
_ESCAPES: Final = {_ESCAPE: _ESCAPE + _ESCAPE, METASPACE: _ESCAPE + "_"} | {
    space: _ESCAPE + number for space, number in _NUMBERS.items()
}
_UNESCAPES: Final = {escaped[1]: text for text, escaped in _ESCAPES.items()}
_ESCAPED: Final = re.compile(f"{_ESCAPE}([{re.escape(''.join(_UNESCAPES))}])")
_TABLE: Final = str.maketrans(_ESCAPES)
_BYTES: Final = frozenset(BYTE_TOKENS)
_MASK_31_BITS: Final = (1 << 31) - 1


class SubwordTokenizer(Tokenizer):
    """A SentencePiece model as a tokenizer.

    Args:
        kind: `unigram` or `bpe`.
        model: The bytes of a SentencePiece model file.
        normalizer: What is done to each line first; the model itself normalises nothing.

    Raises:
        FormatError: The bytes are no SentencePiece model.
    """

    kinds = (UNIGRAM, BPE)

    def __init__(self, kind: str, model: bytes, normalizer: Normalizer) -> None:
        import sentencepiece

        super().__init__(normalizer)
        self._kind = kind
        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            size = self._processor.get_piece_size() if model else 0  # the library takes no bytes for no model yet
            self._pieces = [self._processor.id_to_piece(piece) for piece in range(size)]
            if not self._pieces:
                raise OSError("it has no pieces")
            self._unknown = self._processor.unk_id()
        except (RuntimeError, OSError, UnicodeDecodeError) as error:
            raise FormatError("this is not a SentencePiece model, or it is damaged", str(error)) from error

    @property
    def kind(self) -> str:
        """`unigram` or `bpe`."""
        return self._kind

    @property
    def options(self) -> dict[str, Any]:
        """Those of every tokenizer, and the number of pieces."""
        return {**super().options, "size": len(self._pieces)}

    @property
    def byte_fallback(self) -> bool:
        """Yes."""
        return True

    @property
    def pieces(self) -> Sequence[str]:
        """Every piece that a line can be cut into, the 256 bytes and the unknown piece left out."""
        numbered = enumerate(self._pieces)
        return tuple(piece for number, piece in numbered if number != self._unknown and piece not in _BYTES)

    def split(self, text: str) -> list[str]:
        """The most probable pieces (unigram), or the merges in order (bpe)."""
        pieces: list[str] = self._processor.encode(escape(text), out_type=str)
        return pieces

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """The pieces of each line, by so many of SentencePiece's own threads."""
        return self._named(self._ids(lines, threads))

    def join_batch(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """The pieces of each line, a space between any two."""
        name = self._pieces.__getitem__
        return [" ".join(map(name, ids)) for ids in self._ids(lines, threads)]

    def sample_batch(self, lines: Sequence[str], samples: int, alpha: float, seed: int) -> list[list[str]]:
        """Random segmentations of each line (Kudo 2018, arXiv:1804.10959; for bpe Provilkov et al. 2019, 1910.13267).

        Args:
            lines: Lines of text.
            samples: Segmentations of each; those of one line follow one another.
            alpha: unigram: the probabilities to this power, 0 is uniform; bpe: how likely a merge is dropped.
            seed: The same seed gives the same segmentations.
        """
        import sentencepiece

        texts = [text for line in lines for text in [escape(self.normalizer(line))] * samples]
        drawn: list[list[list[int]]] = []

        def draw() -> None:
            # nbest_size -1: out of all segmentations, not the best few.
            drawn.append(
                self._processor.encode(
                    texts, out_type=int, enable_sampling=True, alpha=alpha, nbest_size=-1, num_threads=1
                )
            )

        # The library's generator belongs to a thread and takes its seed when the thread first draws.
        sentencepiece.set_random_generator_seed(seed & _MASK_31_BITS)
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
        return self._named(drawn[0])

    def join(self, tokens: Sequence[str]) -> str:
        """The line that the pieces spell. The first piece begins with a space that no text has."""
        return _ESCAPED.sub(_unescape, tokens_to_text(tokens).removeprefix(" "))

    def _ids(self, lines: Sequence[str], threads: int) -> list[list[int]]:
        texts = [escape(self.normalizer(line)) for line in lines]
        # Ids cross from C++ several times faster than text does, and do so without holding up the other threads.
        ids: list[list[int]] = self._processor.encode(texts, out_type=int, num_threads=threads)
        return ids

    def _named(self, batch: Sequence[Sequence[int]]) -> list[list[str]]:
        pieces = self._pieces
        return [[pieces[piece] for piece in ids] for ids in batch]


def escape(text: str) -> str:
    """A text without `▁`, and without white space other than the plain space; reversibly."""
    if _ESCAPE not in text and not RESERVED_CHARACTER.search(text):
        return text
    return text.translate(_TABLE)


def _unescape(found: re.Match[str]) -> str:
    return _UNESCAPES[found[1]]
