"""The options and the result of `rnnkit tokenize`."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, changed, option
from rnnkit.stages import shared_options as shared
from rnnkit.text.parallel_processing import Shard, TokenizedFile
from rnnkit.text.subword_tokenizer import UNIGRAM
from rnnkit.text.subword_training import DEFAULT_SIZE
from rnnkit.text.tokenizer_store import RULE_BASED_TOKENIZERS, SUBWORD_KINDS
from rnnkit.text.unicode import FORMS, NFC

DEFAULT_TYPE = UNIGRAM


@dataclass(frozen=True)
class TokenizeOptions(shared.WorkspaceOptions, shared.ThreadOptions, shared.ShardOptions, shared.OverwriteOptions):
    """Tokenize text, one output line per input line; `detokenize` is the inverse.

    A file NAME.LANG becomes WORK/tokens/NAME.LANG.tok. The tokenizer is that of the workspace; if there is none yet,
    one is trained on all files named train.LANG together. Without files the command is a filter.
    """

    files: list[Path] = argument(
        (),
        help="Text files named NAME.LANG, one sentence per line, plain or .gz; none: filter stdin to stdout.",
        metavar="FILE…",
        shown_default="stdin",
    )
    type: str | None = option(
        None,
        help="words: words and punctuation; spaces: text that is already tokenized; chars: characters; bytes: UTF-8 "
        "bytes; unigram, bpe: SentencePiece subwords.",
        choices=(*RULE_BASED_TOKENIZERS, *SUBWORD_KINDS),
        shown_default=DEFAULT_TYPE,
        panel="Tokenizer",
    )
    size: int | None = option(
        None,
        help="Vocabulary size of a unigram or bpe tokenizer, the 256 bytes included.",
        unit="pieces",
        minimum=1,
        shown_default=f"{DEFAULT_SIZE}, or less for a small text",
        panel="Tokenizer",
    )
    lowercase: bool | None = option(None, help="Lowercase the text.", shown_default="no", panel="Tokenizer")
    normalize: str | None = option(
        None,
        help="Unicode normalization: nfc composes accents, nfkc also folds widths and ligatures; both collapse white "
        "space. none leaves the text unchanged, except that --type spaces drops white space.",
        choices=FORMS,
        shown_default=NFC,
        panel="Tokenizer",
        formerly="normalise",
    )
    features: bool | None = option(
        None,
        help="Lines may end with a TAB and features, such as tags or a domain, separated by ; or spaces. Each feature "
        "becomes one token.",
        shown_default="no",
        panel="Tokenizer",
    )
    learn_from: list[Path] = option(
        (),
        help="Texts to train a unigram or bpe tokenizer on.",
        shown_default="the train files",
        many=True,
        panel="Tokenizer",
    )
    learn_size: float = option(
        5.0,
        help="Amount of text to train the tokenizer on, a random sample of lines if there is more. Training takes 20 "
        "times as much memory.",
        unit="MB",
        minimum=0.001,
        panel="Tokenizer",
    )
    samples: int = option(
        0,
        help="Sampled segmentations per line of the train files (subword regularization); 0 uses the best one.",
        unit="per line",
        minimum=0,
        panel="Tokenizer",
        variable="TOKENIZE_SAMPLES",
    )
    alpha: float = option(
        0.1,
        help="Smoothing of --samples; unigram: exponent of the probabilities, 0 is uniform; bpe: merge dropout rate.",
        minimum=0,
        panel="Tokenizer",
        variable="TOKENIZE_ALPHA",
    )
    model: Path | None = option(
        None,
        help="Tokenizer directory: used if it exists, otherwise created.",
        shown_default="WORK/tokenizer",
        variable="TOKENIZER",
    )
    output: Path | None = option(
        None, help="Directory for the token files.", shown_default="WORK/tokens", panel="Output"
    )
    seed: int = option(
        1,
        help="Random seed of the text sample for training. SentencePiece draws new --samples in every run, regardless "
        "of the seed.",
        minimum=0,
    )
    _: KW_ONLY
    overwrite: bool = changed(
        shared.OverwriteOptions, "overwrite", help="Replace token files and, with train files, the tokenizer."
    )
    threads: int = changed(
        shared.ThreadOptions,
        "threads",
        help="Threads, divided among the processes; 0 uses one per core. The output does not depend on it.",
        panel="Data",
    )
    shard: str | None = changed(
        shared.ShardOptions,
        "shard",
        help="Process part I of N of each file's lines and write to TOKENS.I-of-N; the tokenizer must exist.",
    )
    merge: bool = changed(shared.ShardOptions, "merge", help="Join the token files of all shards.")


@dataclass(frozen=True)
class TokenizeResult:
    """The tokenizer and the token files.

    Attributes:
        tokenizer: Directory of the tokenizer.
        settings: Options of the tokenizer: type, size and so on.
        learned: Whether this call created the tokenizer.
        files: The token files.
    """

    tokenizer: Path
    settings: JsonObject
    learned: bool
    files: tuple[TokenizedFile, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as text."""
        return tuple(f"{file.path}: {file.lines:,} lines, {file.tokens:,} tokens" for file in self.files)

    def as_dict(self) -> JsonObject:
        """Return the result as JSON."""
        files = [{**asdict(file), "path": str(file.path)} for file in self.files]
        return {"tokenizer": str(self.tokenizer), "settings": self.settings, "learned": self.learned, "files": files}


def tokenizer_folder(options: TokenizeOptions) -> Path:
    """Return the directory of the tokenizer, which may not exist yet."""
    return options.model or Workspace(options.work).tokenizer


def token_folder(options: TokenizeOptions, shard: Shard | None = None) -> Path:
    """Return the directory for the token files, or for those of a shard."""
    folder = options.output or Workspace(options.work).tokens
    return folder if shard is None else shard.path_of(folder)
