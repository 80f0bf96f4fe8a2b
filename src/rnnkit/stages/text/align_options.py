"""Options of `align`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from rnnkit.options.declare import changed, option
from rnnkit.stages import shared_options as shared

PAIR_LENGTH = 256
"""Default of `--max-length` for parallel data."""


@dataclass(frozen=True)
class AlignOptions(shared.WorkspaceOptions, shared.ShardOptions, shared.OverwriteOptions):
    """Encode token files as ids of the vocabulary, line by line: two sides, one side, or text with labels.

    Parallel data is for translation, text for language models. From train and valid, lines with an empty side are
    dropped and counted; the filters apply to train only. Nothing is dropped from test, whose line numbers stay those
    of the text. For text with blank lines, --keep-empty keeps them in all splits. Memory does not grow with the text.

    Text with --labels is for classifiers and taggers. The labels of train.TEXT are in train.LABELS beside it: one per
    line, or one per word, which is detected. Words are those of the text, also if the tokenizer cuts them into pieces.
    """

    source: str | None = option(None, help="Source language: pairs *.SOURCE.tok with *.TARGET.tok.")
    target: str | None = option(None, help="Target language.")
    text: str | None = option(
        None, help="Language of data with one side.", shown_default="the only language, if there is only one"
    )
    train: list[Path] = option(
        (), help="Token files of the train split: source and target, or one.", many=True, shown_default="WORK/tokens"
    )
    valid: list[Path] = option((), help="Token files of the validation split.", many=True, shown_default="WORK/tokens")
    test: list[Path] = option((), help="Token files of the test split.", many=True, shown_default="WORK/tokens")
    labels: list[str] = option(
        (), help="Columns of labels, such as upos or upos,xpos: files SPLIT.COLUMN beside the text.", many=True,
        panel="Labels", shown_default="none (text without labels)",
    )  # fmt: skip
    label_files: list[Path] = option(
        (), help="Files of labels and weights that are not beside the text, named SPLIT.COLUMN.", many=True,
        panel="Labels", shown_default="those beside the text",
    )  # fmt: skip
    label_level: str = option(
        "auto", help="What has a label; auto: detected from the numbers of words and labels.", panel="Labels",
        choices=("auto", "line", "word"),
    )  # fmt: skip
    multi_label: bool = option(False, help="Each text has any number of labels, separated by blanks.", panel="Labels")
    soft_labels: bool = option(
        False, help="Each text has probabilities of labels: LABEL=PROBABILITY, separated by blanks.", panel="Labels"
    )
    weights: str | None = option(
        None, help="Column of weights, one number per line: files SPLIT.COLUMN beside the text.", panel="Labels",
        shown_default="none (all lines count the same)",
    )  # fmt: skip
    vocab: list[Path] = option(
        (),
        help="Joint vocabulary, or source and target vocabulary.",
        many=True,
        shown_default="WORK/vocab.tsv, or WORK/vocab.LANG.tsv",
    )
    max_length: int | None = option(
        None,
        help="Maximum sentence length, EOS included.",
        unit="tokens",
        minimum=2,
        shown_default=f"{PAIR_LENGTH} for two sides, no limit for one",
        panel="Length",
    )
    long: str | None = option(
        None,
        help="Drop or truncate longer sentences of train and valid; those of test are always truncated.",
        choices=("drop", "truncate"),
        panel="Length",
        shown_default="drop; truncate with --labels",
    )
    length: int | None = option(
        None,
        help="Fixed length: truncate longer sentences and pad shorter ones to it.",
        unit="tokens",
        minimum=2,
        panel="Length",
    )
    pad_side: str = option("right", help="Side of the padding.", choices=("right", "left"), panel="Length")
    truncate_side: str = option(
        "right",
        help="Side to truncate; EOS is kept.",
        choices=("right", "left"),
        panel="Length",
    )
    max_ratio: float | None = option(
        None,
        help="Drop train pairs whose lengths differ by more than this factor; features do not count.",
        minimum=1,
        panel="Filters",
    )
    keep_empty: bool = option(
        False, help="Keep blank lines of data with one side, encoded as a single EOS, as in WikiText.", panel="Filters"
    )
    drop_duplicates: bool = option(
        False,
        help="Drop repeated lines of train; takes about 70 bytes of memory per line.",
        panel="Filters",
    )
    drop_leaked: bool = option(
        False, help="Drop lines of train that occur in valid or test, with all sides equal.", panel="Filters"
    )
    output: Path | None = option(None, help="Data directory to write.", shown_default="WORK/data", panel="Output")
    _: KW_ONLY
    shard: str | None = changed(shared.ShardOptions, "shard", help="Encode part I of N of the lines into DATA.I-of-N.")
    merge: bool = changed(shared.ShardOptions, "merge", help="Join the data of all shards.")
