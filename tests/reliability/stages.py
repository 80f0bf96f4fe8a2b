"""The small commands that faults are injected into, what each makes, and who reads it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rnnkit.io import manifest
from rnnkit.text.lines import read_lines

CORPUS = Path(__file__).parents[2] / "sample_corpora" / "parallel"
LINES = {"train": 30, "valid": 6}
NETWORK = (
    "--hidden 12 --embedding 10 --max-steps 6 --validate-every 3 --report-every 2 --warmup 2 --threads 1 "
    "--precision fp32 --save-every 0"
)


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: What the table calls it.
        words: Its command line; all paths are relative to the folder of the trial.
        makes: What it writes: files, and folders that are replaced as a whole.
        read_by: The command line of somebody who reads that.
        resumes: Whether `--resume` goes on with it after a kill.
        leaves_out: Words that are left out then.
        reads: Inputs that it must be resumed with unchanged.
    """

    name: str
    words: tuple[str, ...]
    makes: tuple[str, ...]
    read_by: tuple[str, ...]
    resumes: bool = False
    leaves_out: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def resumed(self) -> list[str]:
        """The command line that goes on with it."""
        return [*(word for word in self.words if word not in self.leaves_out), "--resume"]


def _stage(
    name: str, words: str, makes: str, read_by: str, resumes: bool = False, *more: str, reads: str = ""
) -> Stage:
    """A stage whose texts are split into words; `more` are left out when it is resumed."""
    return Stage(
        name, tuple(words.split()), tuple(makes.split()), tuple(read_by.split()), resumes, more, tuple(reads.split())
    )


STAGES = (
    _stage(
        "tokenize", "tokenize train.de train.en valid.de valid.en --type words",
        "work/tokenizer work/tokens", "vocab --overwrite",
    ),
    _stage(
        "tokenize (unigram)", "tokenize train.en valid.en --type unigram --size 330 --threads 1 --work lm",
        "lm/tokenizer lm/tokens", "tokenize valid.en --work lm --overwrite",
    ),
    _stage("vocab", "vocab", "work/vocab.tsv", "align --source de --target en --overwrite"),
    _stage("vocab (one side)", "vocab --work lm", "lm/vocab.tsv", "align --work lm --overwrite"),
    _stage("align", "align --source de --target en", "work/data", "align-words --threads 1 --iterations 1 --overwrite"),
    _stage("align (one side)", "align --work lm", "lm/data", "train-lm --arch ngram --work lm --overwrite"),
    _stage(
        "align-words",
        "align-words --threads 1 --iterations 1 --shortlist work/shortlist --lexicon work/lexicon.tsv",
        "work/links work/lexicon.tsv work/shortlist",
        "align-words --threads 1 --iterations 1 --compare work/links --output work/others",
    ),
    _stage(
        "train", f"train --arch gru --batch-tokens 120 --validate-lines 2 {NETWORK}", "work/model",
        "decode valid.de --beam 1 --max-length 4 --threads 1", True, reads="work/data",
    ),
    _stage(
        "average", "average work/model work/model --output work/mean", "work/mean",
        "decode valid.de --model work/mean --beam 1 --max-length 4 --threads 1",
    ),
    _stage(
        "decode", "decode valid.de --output work/valid.hyp --beam 2 --max-length 6 --threads 1 --batch-tokens 20",
        "work/valid.hyp", "bleu valid.en --hypotheses work/valid.hyp", True, reads="valid.de work/model",
    ),
    _stage(
        "train-lm", f"train-lm --arch gru --batch-size 3 --steps 7 --work lm {NETWORK}", "lm/model",
        "score valid.en --work lm --threads 1", True, reads="lm/data",
    ),
    _stage(
        "align (tags)", "align --work lm --text en --labels tag --output lm/tags", "lm/tags",
        f"train-tagger --work lm --data lm/tags --output lm/read {NETWORK} --overwrite",
    ),
    _stage(
        "align (labels)", "align --work lm --text en --labels label --output lm/labels", "lm/labels",
        f"train-classifier --work lm --data lm/labels --output lm/read {NETWORK} --overwrite",
    ),
    _stage(
        "train-tagger", f"train-tagger --work lm --data lm/tags --output lm/tagger {NETWORK}", "lm/tagger",
        "decode valid.en --model lm/tagger --threads 1", True, reads="lm/tags",
    ),
    _stage(
        "train-classifier", f"train-classifier --work lm --data lm/labels --output lm/classifier {NETWORK}",
        "lm/classifier", "decode valid.en --model lm/classifier --threads 1", True, reads="lm/labels",
    ),
    _stage(
        "decode (tags)", "decode valid.en --model lm/tagger --output lm/valid.tags --threads 1 --batch-tokens 20",
        "lm/valid.tags", "evaluate-labels valid.tag --hypotheses lm/valid.tags", True, reads="valid.en lm/tagger",
    ),
    _stage(
        "train-lm (counts)", "train-lm --arch ngram --order 3 --work lm --output lm/counts", "lm/counts",
        "score valid.en --model lm/counts",
    ),
    _stage(
        "score", "score valid.en --model lm/counts --output lm/scores", "lm/scores", "inspect lm/scores",
    ),
    _stage(
        "represent", "represent --side de", "work/train.de.bow.npz", "inspect work/train.de.bow.npz",
    ),
    _stage(
        "convert-ngrams", "convert-ngrams lm/counts.arpa --model lm/counts", "lm/counts.arpa",
        "convert-ngrams lm/back --model lm/counts.arpa",
    ),
    _stage(
        "train-embeddings",
        "train-embeddings train.en --output work/embeddings --dimension 7 --epochs 9 --threads 1 --save-every 0",
        "work/embeddings", "neighbors the --vectors work/embeddings", True, "train.en",
    ),
    _stage(
        "convert-embeddings",
        "convert-embeddings work/vectors.bin --to word2vec-binary --vectors work/embeddings",
        "work/vectors.bin", "neighbors the --vectors work/vectors.bin",
    ),
    _stage(
        "extract", "extract train.de valid.de --format tsv --columns line=1 --output rows",
        "rows/train.line rows/valid.line", "inspect rows/train.line",
    ),
    _stage(
        "phrases", "phrases train.en --min-count 1 --threshold 2 --output work/joined",
        "work/joined work/joined.phrases.tsv", "phrases valid.en --phrases work/joined.phrases.tsv",
    ),
)  # fmt: skip
"""In the order in which each finds what it reads."""


def write_texts(folder: Path, first: int) -> None:
    """Write the texts that all begins with: some lines of the sample corpus from `first` on."""
    folder.mkdir(parents=True)
    for split, count in LINES.items():
        for side in ("de", "en"):
            lines = islice(read_lines(CORPUS / f"{split}.{side}"), first, first + count)
            texts = list(lines)
            (folder / f"{split}.{side}").write_text("".join(f"{line}\n" for line in texts), encoding="utf-8")
        rows = [line.split() for line in texts]
        columns = {
            "tag": [" ".join("CAPITAL" if word[0].isupper() else "WORD" for word in words) for words in rows],
            "label": ["long" if len(words) > 7 else "short" for words in rows],
        }
        for name, values in columns.items():
            (folder / f"{split}.{name}").write_text("".join(f"{value}\n" for value in values), encoding="utf-8")


def contents(folder: Path, made: str) -> dict[str, bytes] | None:
    """The bytes of all that a stage made at a path; None where there is nothing.

    Left out are what measures time, what records the options of a call, and hidden files.
    """
    path = folder / made
    if not path.exists():
        return None
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    named = {str(file.relative_to(path.parent)): file for file in files}
    return {name: file.read_bytes() for name, file in named.items() if not _varies(name)}


def litter(folder: Path) -> list[str]:
    """What no finished command leaves: temporary files, old folders, locks, half an output."""
    left = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(
        str(path) for path in left if path.name.startswith(".") or path.name.endswith((".partial", ".options.json"))
    )


def faults(folder: Path, made: str) -> list[str]:
    """What the checksums say against a path."""
    path = folder / made
    if manifest.manifest_path(path).exists():
        return manifest.find_mismatches(path)
    places = sorted(path.rglob(f"*{manifest.NAME}")) if path.is_dir() else []
    beside = [place.with_name(place.name.removesuffix(f".{manifest.NAME}")) for place in places]
    return [fault for file in beside for fault in manifest.find_mismatches(file)]


def _varies(name: str) -> bool:
    parts = Path(name).parts
    measured = ("metrics.jsonl", "curve.png", "README.md", "state.json")
    return parts[-1].endswith(manifest.NAME) or parts[-1] in measured or any(part.startswith(".") for part in parts)
