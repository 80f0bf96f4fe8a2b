"""All readers of files, with valid files to mutate. Each file is in its own directory, with intact neighbors."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tests.embeddings.formats.imperfect_files import BINARIES, GLOVES, MODELS, TEXTS, File
from tests.tiny_models import translator, translator_folder

from rnnkit.alignment.alignment_links import read_links
from rnnkit.alignment.shortlist import Shortlist, write_shortlist
from rnnkit.cli.config_file import read_table
from rnnkit.data.aligned_data import AlignedData
from rnnkit.data.aligned_data_writer import SentenceWriter, SplitCounts, write_data_manifest
from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import fasttext_binary, text_formats, vectors_directory, word2vec_binary
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.io import manifest
from rnnkit.io.npy import open_array
from rnnkit.io.safe_reading import Repairs
from rnnkit.ngrams import store as ngram_store
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.options.declare import parameters_of
from rnnkit.reports.artefact import describe
from rnnkit.stages.inference import decode_options
from rnnkit.stages.text import extract
from rnnkit.stages.text.extract_options import ExtractOptions
from rnnkit.text import special_tokens
from rnnkit.text.lines import open_text, read_lines
from rnnkit.text.phrase_detection import PhraseList
from rnnkit.text.subword_tokenizer import SubwordTokenizer
from rnnkit.text.tables import extraction_manifest, table_format
from rnnkit.text.tables.columns import parse_columns
from rnnkit.text.tables.records import read_rows
from rnnkit.text.tables.table_format import GivenLayout
from rnnkit.text.unicode import Normalizer
from rnnkit.text.vocabulary import Vocabulary
from rnnkit.training import checkpoint

CORPUS = Path(__file__).parent / "corpus"
"""Files that once broke a reader, in a folder for each."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: What it reads.
        file: Name of the file.
        read: Reads everything that the file at this path tells.
        samples: Valid files.
        around: Writes the file's neighbours into a folder.
        foreign: Whether it is written in another language, which may break down as a whole.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    samples: Callable[[], Iterable[bytes]]
    around: Callable[[Path], object] = lambda folder: None
    foreign: bool = False


def _table() -> VectorTable:
    values = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    return VectorTable(WordIndex.from_list(["the", "ä", "b", "c-d", "e"], [9, 5, 3, 2, 1]), values)


def _vectors() -> Iterable[bytes]:
    with TemporaryDirectory() as name:
        for format, write in formats.WRITERS.items():
            path = Path(name) / format
            write(path, _table())
            yield path.read_bytes()
            for pack in (partial(gzip.compress, mtime=0), bz2.compress, lzma.compress):
                yield pack(path.read_bytes())


def _repaired(name: str, write: Callable[[Path, VectorTable], None], files: Sequence[File]) -> Reader:
    """The reader of imperfect files of one format."""

    def samples() -> Iterable[bytes]:
        with TemporaryDirectory() as folder:
            write(Path(folder) / "whole", _table())
            yield (Path(folder) / "whole").read_bytes()
        yield from (file.content for file in files)

    return Reader(f"{name}, repaired", "vectors.txt", _read_repaired, samples)


def _read_repaired(path: Path) -> object:
    table = formats.load(path, repair=True)
    assert np.isfinite(table.matrix_VD).all()
    assert len(set(table.words)) == len(table.words)
    assert table.repairs is not None
    return json.dumps(table.repairs.as_dict())


def _read_folder(path: Path) -> object:
    """A vectors directory whose manifest fits the file: who is hostile computes a checksum too."""
    meta = manifest.load(path.parent / manifest.NAME)
    files = manifest.describe_files(path.parent, meta.files)
    manifest.write(
        path.parent / manifest.NAME, manifest.Manifest(meta.kind, meta.version, files=files, facts=meta.facts)
    )
    table = vectors_directory.read(path.parent)
    return (
        table.words.counts,
        [table.words.row(word) for word in ("the", "x")],
        list(table.words),
        table.matrix_VD.sum(),
    )


def _data(folder: Path) -> None:
    writers = {side: SentenceWriter(folder, "train", side, 9) for side in ("de", "en")}
    for writer in writers.values():
        with writer:
            for ids in ([4, 5, 3], [3], [8, 7, 6, 3]):
                writer.append(ids)
    counts = SplitCounts({side: writer.counts for side, writer in writers.items()}, 3, {})
    sizes = {"de": 9, "en": 9}
    write_data_manifest(folder, splits={"train": counts}, vocabulary_size=sizes, padding=None, options={}, inputs={})


def _made(make: Callable[[Path], object], name: str) -> Callable[[], list[bytes]]:
    """A file of what is made in an empty folder."""

    @cache
    def samples() -> list[bytes]:
        with TemporaryDirectory() as folder:
            make(Path(folder))
            return [(Path(folder) / name).read_bytes()]

    return samples


def _read_data(path: Path) -> object:
    data = AlignedData.open(path.parent)
    return [data.side(split, side).lengths() for split in data.splits for side in data.sides], manifest.find_mismatches(
        path.parent
    )


def _shortlist(folder: Path) -> None:
    rows = np.array([0, 0, 2, 3]), np.array([4, 5, 6], np.int32)
    write_shortlist(folder / "list", rows, np.array([1, 3], np.int32), 8, options={}, inputs={})


def _counts(folder: Path) -> None:
    (folder / "arpa").write_bytes(_ARPA)
    ngram_store.save(folder / ngram_store.NAME, read_arpa(folder / "arpa")[0])


def _ask(model: BackoffModel) -> object:
    """Walk through all that was read."""
    model.score(np.array([special_tokens.UNK, special_tokens.EOS]), np.array([0, 2]))
    return [model.log_probabilities(state) for state in range(len(model.backoff_I))]


def _model(folder: Path) -> None:
    translator_folder(folder, translator())


def _read_model(path: Path) -> object:
    import torch

    from rnnkit.models import store

    return store.load_seq2seq(path.parent, "best", torch.device("cpu"))


def _checkpoint(folder: Path) -> None:
    checkpoint.save(
        folder / "last", checkpoint.TrainingCheckpoint({"loop": {"step": 3}}, {"weights": {"a": np.ones(3)}})
    )


def _read_weights(path: Path) -> object:
    from rnnkit.models import model_weights

    tensors, facts = model_weights.load(path)
    model_weights.check_finite_weights(tensors, path)
    return facts


def _read_checkpoint(path: Path) -> object:
    meta = manifest.load(path.parent / manifest.NAME)
    files = manifest.describe_files(path.parent, meta.files)
    manifest.write(path.parent / manifest.NAME, manifest.Manifest(meta.kind, meta.version, files=files))
    return checkpoint.load(path.parent)


@cache
def _pieces() -> list[bytes]:
    import io

    import sentencepiece

    model = io.BytesIO()
    text = (f"the {word} of the {word}s" for word in ("house", "mouse", "louse") for _ in range(9))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text, model_writer=model, vocab_size=24, minloglevel=2, hard_vocab_limit=False
    )
    return [model.getvalue()]


def _read_pieces(path: Path) -> object:
    return SubwordTokenizer("unigram", path.read_bytes(), Normalizer("nfc")).tokenize("the house of mice")


def _read_configuration(path: Path) -> object:
    return read_table(path, "decode", parameters_of(decode_options.DecodeOptions), ["decode"])


_ARPA = (
    b"\\data\\\nngram 1=4\nngram 2=3\n\n\\1-grams:\n-1\t<unk>\n0\t<s>\t-0.3\n-0.9\t</s>\n-0.5\tthe\t-0.2\n\n"
    b"\\2-grams:\n-0.1\t<s> the\n-0.2\tthe </s>\n-0.7\tthe the\n\n\\end\\\n"
)
_BROKEN_ARPA = (
    b"made by hand\n" + _ARPA.replace(b"\t", b" "),
    _ARPA.replace(b"the", b"t\xe4").replace(b"-0.7", b"nan").replace(b"1=4", b"1=400000000").replace(b"\\end\\\n", b""),
    _ARPA.replace(b"\n\n", b"\n").replace(b"-0.1\t", b"0,1 ").replace(b"the the", b"the </s>") + b"more\n",
)
_TEXT = "the house\n\nein Haus\r\nüber\n".encode()
_VOCABULARY = b"<pad>\t0\n<unk>\t0\n<s>\t0\n</s>\t0\nthe\t7\n\xc3\xa4\t3\n"
_PHRASES = b"new_york\t9\t300.5\t1\tnew york\nnew_york_city\t5\t120.1\t2\tnew_york city\n"
_CONFIGURATION = b'# search\n[decode]\nbeam = 3\nalpha = 0.5\nmodel = ["work/model"]\nsample = false\n'
_METRICS = b'{"step": 1, "loss": 2.5}\n{"step": 2, "validation": {"loss": 2.25, "bleu": 1.0}}\n'
_CSV = b'text,label\n"a ""b"",\nc",1\n\nd,"2"\n'
_JSON_LINES = b'{"text": "a\\n\\u00e4", "y": {"z": 1.5}}\n{"text": true, "y": {"z": "b"}}\n'
_CONLL = b"-DOCSTART- O\n\nNew York\tB-LOC\nis\tO\n\n# c\nX\t\na\tO\nb\tO\n"
_CONLLU = "".join(
    f"{line}\n"
    for line in ("# text = a", *("\t".join([id, "a b", *"________"]) for id in ("1-2", "1", "1.1", "2")), "")
).encode()
_LABEL_LINES = b"__label__a __label__b  c d\r\ne __label__f g\n"
_LINKS = b"0-0 1?1 2-2\n\n\n4-3\n"
_LENGTHS = np.array([3, 2, 0, 5])


def _packed_arpa() -> list[bytes]:
    return [_ARPA, gzip.compress(_ARPA, mtime=0), bz2.compress(_ARPA), lzma.compress(_ARPA)]


def _repair_arpa(path: Path) -> object:
    repairs = Repairs(path)
    model, tokens = read_arpa(path, repairs=repairs)
    ngram_store.check(model, "the model")
    return _ask(model), tokens, repairs.as_dict()


def _table_reader(name: str, file: str, columns: Sequence[str], *samples: bytes) -> Reader:
    """A table: broken rows are skipped, and the lines of the others written back leave the file as it is."""

    def read(path: Path) -> object:
        selections = parse_columns(columns)
        given = GivenLayout(name.removeprefix("table, ") if name != "table" else None)
        layout = table_format.detect_layout(path, given, selections)
        selections = selections or table_format.default_columns(layout)
        if not selections:
            raise table_format.missing_columns(path, layout)
        reader = table_format.open_reader(path, layout, selections)
        records = read_rows(path, reader, Repairs(path))
        parts = [record.raw if values is None else reader.replace(record, values[0]) for record, values in records]
        with open_text(path) as (opened, _):
            assert b"".join(parts) == opened.read()
        return dict(reader.changes)

    return Reader(name, file, read, lambda: [*samples, gzip.compress(samples[0], mtime=0)])


def _extraction(folder: Path) -> None:
    (folder / "train.csv").write_bytes(_CSV)
    extract.run(ExtractOptions([folder / "train.csv"], ["text", "y=2"], output=folder, split=["test=1"]))


def _any() -> Iterable[bytes]:
    for reader in READERS:
        if reader.name != "inspect":
            yield from reader.samples()


READERS = (
    Reader("lines", "text", lambda path: list(read_lines(path)), lambda: [_TEXT, gzip.compress(_TEXT, mtime=0)]),
    Reader("vocabulary", "vocab.tsv", Vocabulary.load, lambda: [_VOCABULARY]),
    Reader("vectors", "vectors.txt", formats.load, _vectors),
    _repaired("word2vec", text_formats.write_word2vec, TEXTS),
    _repaired("word2vec binary", word2vec_binary.write, BINARIES),
    _repaired("fastText", fasttext_binary.write, MODELS),
    _repaired("GloVe", text_formats.write_glove, GLOVES),
    Reader(
        "vectors directory, vectors", vectors_directory.VECTORS, _read_folder,
        _made(lambda folder: vectors_directory.write(folder / "v", _table()), f"v/{vectors_directory.VECTORS}"),
        lambda folder: vectors_directory.write(folder, _table()),
    ),
    Reader(
        "vectors directory, words", vectors_directory.VOCABULARY, _read_folder,
        _made(lambda folder: vectors_directory.write(folder / "v", _table()), f"v/{vectors_directory.VOCABULARY}"),
        lambda folder: vectors_directory.write(folder, _table()),
    ),
    Reader("arpa", "model.arpa", read_arpa, _packed_arpa),
    Reader("arpa, repaired", "model.arpa", _repair_arpa, lambda: [*_packed_arpa(), *_BROKEN_ARPA]),
    Reader(
        "n-grams", ngram_store.NAME, lambda path: _ask(ngram_store.load(path)),
        _made(_counts, ngram_store.NAME),
    ),
    Reader("array", "a.npy", lambda path: open_array(path, (np.int32,)), _made(
        lambda folder: np.save(folder / "a.npy", np.arange(5, dtype=np.int32)), "a.npy"
    )),
    Reader("manifest", manifest.NAME, _read_data, _made(_data, manifest.NAME), _data),
    Reader("aligned data", "train.de.offsets.npy", _read_data, _made(_data, "train.de.offsets.npy"), _data),
    Reader(
        "shortlist", "list/offsets.npy", lambda path: Shortlist.open(path.parent).candidates(np.arange(3)),
        _made(_shortlist, "list/offsets.npy"), _shortlist,
    ),
    Reader("links", "links", lambda path: read_links(path, _LENGTHS, _LENGTHS, True), lambda: [_LINKS]),
    Reader("phrases", "phrases.tsv", PhraseList.load, lambda: [_PHRASES]),
    _table_reader("table, tsv", "train.tsv", ["x=1", "y=-1"], b"a\tb\r\nc d\t\n", _CSV),
    _table_reader("table, csv", "train.csv", ["text", "y=2"], _CSV, b"text;y\n a;b\n"),
    _table_reader("table, jsonl", "train.jsonl", ["z=y.z", "text"], _JSON_LINES),
    _table_reader("table, conll", "train.bio", [], _CONLL, _CONLL.replace(b"\t", b"  ")),
    _table_reader("table, conllu", "train.conllu", ["form", "misc"], _CONLLU),
    _table_reader("table, fasttext", "train.txt", [], _LABEL_LINES),
    _table_reader("table", "train", [], _CONLL, _CONLLU, _LABEL_LINES),
    Reader(
        "extraction", "test.y.meta.json",
        lambda path: list(extraction_manifest.find_extractions("train.csv", path.parent)),
        _made(_extraction, "test.y.meta.json"), _extraction,
    ),
    Reader("metrics", checkpoint.METRICS_FILE, lambda path: list(checkpoint.read_metrics(path)), lambda: [_METRICS]),
    Reader("configuration", "rnnkit.toml", _read_configuration, lambda: [_CONFIGURATION]),
    Reader("weights", "best.safetensors", _read_weights, _made(_model, "model/best.safetensors")),
    Reader("network", "model/config.json", _read_model, _made(_model, "model/config.json"), _model),
    Reader("checkpoint", "last/state.json", _read_checkpoint, _made(_checkpoint, "last/state.json"), _checkpoint),
    Reader("sentencepiece", "model.spm", _read_pieces, _pieces, foreign=True),
    Reader("inspect", "any", lambda path: json.dumps(describe(path).as_dict()), _any, foreign=True),
)  # fmt: skip
