"""`unigram` and `bpe`: subwords by SentencePiece (Kudo and Richardson 2018, arXiv:1808.06226).

Tokenization is lossless: a character that the pieces do not cover is encoded as byte tokens (byte fallback). `▁` is
SentencePiece's space, so a `▁` in the text is escaped as `␛_`, and `␛` itself as `␛␛`. White space other than the plain
space, which only exact text contains, is escaped as `␛` and a number: `␛⑪` is the no-break space. The model has no
control symbols: a `</s>` in the text is split like any other text.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Final

from rnnkit.errors import FormatError
from rnnkit.json_types import JsonObject
from rnnkit.text.special_tokens import BYTE_TOKENS, METASPACE, OTHER_WHITE_SPACE, RESERVED_CHARACTER, tokens_to_text
from rnnkit.text.tokenizer import Tokenizer
from rnnkit.text.unicode import Normalizer

UNIGRAM: Final = "unigram"
BPE: Final = "bpe"

_ESCAPE: Final = "␛"
# Enclosed numbers, U+2460 onwards: they have no script, so SentencePiece can keep them in one piece.
_NUMBERS: Final = {space: chr(0x2460 + index) for index, space in enumerate(OTHER_WHITE_SPACE)}
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
        model: Content of a SentencePiece model file.
        normalizer: Applied to each line first; the model itself does not normalize.

    Raises:
        FormatError: The bytes are not a SentencePiece model.
    """

    kinds = (UNIGRAM, BPE)

    def __init__(self, kind: str, model: bytes, normalizer: Normalizer) -> None:
        import sentencepiece

        super().__init__(normalizer)
        self._kind = kind
        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            size = self._processor.get_piece_size() if model else 0  # the library accepts empty bytes as "no model yet"
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
    def options(self) -> JsonObject:
        """Settings of every tokenizer, plus the number of pieces."""
        return {**super().options, "size": len(self._pieces)}

    @property
    def byte_fallback(self) -> bool:
        """True."""
        return True

    @property
    def pieces(self) -> Sequence[str]:
        """All pieces except the 256 bytes and the unknown piece."""
        numbered = enumerate(self._pieces)
        return tuple(piece for index, piece in numbered if index != self._unknown and piece not in _BYTES)

    def tokenize_normalized(self, text: str) -> list[str]:
        """Return the most probable segmentation (unigram), or apply the merges in order (bpe)."""
        pieces: list[str] = self._processor.encode(escape(text), out_type=str)
        return pieces

    def tokenize_batch(self, lines: Sequence[str], threads: int = 1) -> list[list[str]]:
        """Return the pieces of each line, with this number of SentencePiece's own threads."""
        return self._to_pieces(self._ids(lines, threads))

    def tokenize_to_lines(self, lines: Sequence[str], threads: int = 1) -> list[str]:
        """Return the pieces of each line, separated by spaces."""
        name = self._pieces.__getitem__
        return [" ".join(map(name, ids)) for ids in self._ids(lines, threads)]

    def sample_batch(self, lines: Sequence[str], samples: int, alpha: float, seed: int) -> list[list[str]]:
        """Sample segmentations: subword regularization (Kudo 2018, arXiv:1804.10959), for bpe BPE-dropout.

        BPE-dropout is due to Provilkov et al. 2019, arXiv:1910.13267.

        Args:
            lines: Lines of text.
            samples: Segmentations of each line, which are consecutive in the result.
            alpha: unigram: exponent of the probabilities, 0 is uniform; bpe: probability that a merge is dropped.
            seed: Seed of the samples.
        """
        import sentencepiece

        texts = [text for line in lines for text in [escape(self.normalizer(line))] * samples]
        sampled: list[list[list[int]]] = []

        def sample() -> None:
            # nbest_size -1: sample from all segmentations, not from the n best.
            sampled.append(
                self._processor.encode(
                    texts, out_type=int, enable_sampling=True, alpha=alpha, nbest_size=-1, num_threads=1
                )
            )

        # The library has one generator per thread, which is seeded when the thread first samples.
        sentencepiece.set_random_generator_seed(seed & _MASK_31_BITS)
        thread = threading.Thread(target=sample)
        thread.start()
        thread.join()
        return self._to_pieces(sampled[0])

    def join_tokens(self, tokens: Sequence[str]) -> str:
        """Return the text of pieces, without the space that begins the first piece."""
        return _ESCAPED.sub(_unescape, tokens_to_text(tokens).removeprefix(" "))

    def _ids(self, lines: Sequence[str], threads: int) -> list[list[int]]:
        texts = [escape(self.normalizer(line)) for line in lines]
        # Ids are several times faster to convert from C++ than strings, and do not block the other threads.
        ids: list[list[int]] = self._processor.encode(texts, out_type=int, num_threads=threads)
        return ids

    def _to_pieces(self, batch: Sequence[Sequence[int]]) -> list[list[str]]:
        pieces = self._pieces
        return [[pieces[piece] for piece in ids] for ids in batch]


def escape(text: str) -> str:
    """Escape `▁`, `␛` and white space other than the plain space, reversibly."""
    if _ESCAPE not in text and not RESERVED_CHARACTER.search(text):
        return text
    return text.translate(_TABLE)


def _unescape(found: re.Match[str]) -> str:
    return _UNESCAPES[found[1]]
