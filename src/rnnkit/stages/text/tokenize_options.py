"""What `rnnkit tokenize` is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnnkit.config import argument, option
from rnnkit.io.workspace import Workspace
from rnnkit.stages import usual_options as usual
from rnnkit.stages.text import scale_options as scale
from rnnkit.text.normalizer import FORMS, NFC
from rnnkit.text.shards import Shard
from rnnkit.text.tokenizers.store import RULE_BASED_TOKENIZERS, SUBWORD_KINDS
from rnnkit.text.tokenizers.subword_tokenizer import UNIGRAM
from rnnkit.text.tokenizers.subword_training import DEFAULT_SIZE

DEFAULT_TYPE = UNIGRAM


@dataclass(frozen=True)
class TokenizeOptions:
    """Cut text into tokens, one line out for each line in; `detokenize` turns them back.

    A file NAME.LANG becomes WORK/tokens/NAME.LANG.tok. The tokenizer is the workspace's; where there is none yet, it
    is learned from the files named train.LANG, one for all languages together. With no file it is a filter.
    """

    files: list[Path] = argument(
        (),
        help="Text, one sentence a line, named NAME.LANG; .gz too. None: from stdin to stdout.",
        metavar="FILE…",
        shown_default="stdin",
    )
    type: str | None = option(
        None,
        help="words and punctuation; spaces for text in tokens already; chars; bytes; SentencePiece: unigram, bpe.",
        choices=(*RULE_BASED_TOKENIZERS, *SUBWORD_KINDS),
        shown_default=DEFAULT_TYPE,
        panel="Tokenizer",
    )
    size: int | None = option(
        None,
        help="Pieces of a unigram or bpe tokenizer, the 256 bytes among them.",
        unit="pieces",
        minimum=1,
        shown_default=f"{DEFAULT_SIZE}, or what a small text has",
        panel="Tokenizer",
    )
    lowercase: bool | None = option(None, help="Make everything lower case.", shown_default="no", panel="Tokenizer")
    normalise: str | None = option(
        None,
        help="Unicode form: nfc composes accents, nfkc also folds widths and ligatures; both fold white space. "
        "none changes nothing; but --type spaces keeps no white space.",
        choices=FORMS,
        shown_default=NFC,
        panel="Tokenizer",
    )
    features: bool | None = option(
        None,
        help="Lines may have features behind a TAB, parted by ; or spaces: tags, a domain. Each is a token of its own.",
        shown_default="no",
        panel="Tokenizer",
    )
    learn_from: list[Path] = option(
        (),
        help="Texts to learn a unigram or bpe tokenizer from.",
        shown_default="the train files",
        many=True,
        panel="Tokenizer",
    )
    learn_size: float = option(
        5.0,
        help="Most text to learn from; where there is more, a random sample of its lines. Takes 20 times the memory.",
        unit="MB",
        minimum=0.001,
        panel="Tokenizer",
    )
    samples: int = option(
        0,
        help="Random segmentations of each line of the train files, in place of the one best.",
        unit="a line",
        minimum=0,
        panel="Tokenizer",
    )
    alpha: float = option(
        0.1,
        help="Of the samples; unigram: 0 draws all alike, 1 by probability; bpe: share of merges left out.",
        minimum=0,
        panel="Tokenizer",
    )
    model: Path | None = option(
        None,
        help="Folder of the tokenizer: used where there is one, made there otherwise.",
        shown_default="WORK/tokenizer",
    )
    work: Path = usual.work(help="Workspace.")
    output: Path | None = option(None, help="Folder for the token files.", shown_default="WORK/tokens", panel="Output")
    overwrite: bool = option(False, help="Replace token files, and with train files the tokenizer too.", panel="Output")
    seed: int = option(
        1,
        help="Seed of the lines to learn from. SentencePiece draws other --samples in every run, whatever the seed.",
        minimum=0,
    )
    threads: int = option(
        0,
        help="Threads, shared among the processes; 0 is one a core. The result is the same.",
        unit="threads",
        minimum=0,
    )
    processes: int = scale.processes()
    shard: str | None = scale.shard(
        help="Do part I of N of each file's lines, into TOKENS.I-of-N; the tokenizer must be there."
    )
    merge: bool = scale.merge(help="Join the token files of all shards to whole ones.")


@dataclass(frozen=True)
class Tokenized:
    """One token file that was written."""

    path: Path
    lines: int
    tokens: int


@dataclass(frozen=True)
class TokenizeResult:
    """What was done.

    Attributes:
        tokenizer: Its folder.
        settings: What it is: type, size and so on.
        learned: Whether it was made just now.
        files: The token files.
    """

    tokenizer: Path
    settings: dict[str, Any]
    learned: bool
    files: tuple[Tokenized, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(f"{file.path}: {file.lines:,} lines, {file.tokens:,} tokens" for file in self.files)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON knows it."""
        files = [{**asdict(file), "path": str(file.path)} for file in self.files]
        return {"tokenizer": str(self.tokenizer), "settings": self.settings, "learned": self.learned, "files": files}


def tokenizer_folder(options: TokenizeOptions) -> Path:
    """Where the tokenizer is, or will be."""
    return options.model or Workspace(options.work).tokenizer


def token_folder(options: TokenizeOptions, shard: Shard | None = None) -> Path:
    """Where the token files, or those of a shard, will be."""
    whole = options.output or Workspace(options.work).tokens
    return whole if shard is None else shard.path_of(whole)
