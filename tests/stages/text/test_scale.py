"""Processes and shards: the output is byte-identical for every number of them."""

from __future__ import annotations

import gzip
import json
import random
import re
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError, WorkerError
from rnnkit.events import Event, Progress
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.stages.text import tokenize as tokenize_command
from rnnkit.text import blocks, parallel_processing
from rnnkit.text.lines import read_lines
from rnnkit.text.tokenizer_store import load_tokenizer

LINES = 37
PAIR = align_options.AlignOptions(source="de", target="en")
WORDS = ("ein", "Hund", "naïve", "中文", "e\u0301t\u00e9", "(so)", "a_b", "␛▁", "x" * 45, "\u2028")


def text(seed: int, lines: int = LINES) -> str:
    """Make lines of 0 to 6 words, with duplicates."""
    words = random.Random(seed)
    made = [" ".join(words.choices(WORDS, k=words.randint(0, 6))) for _ in range(lines)]
    return "".join(f"{line}\n" for line in [*made[:-2], *made[:2]])


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write parallel texts into the working directory; each has several of the small blocks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blocks, "LINE_BLOCK_BYTES", 150)
    for seed, (name, lines) in enumerate({"train": LINES, "valid": 3}.items()):
        Path(f"{name}.de").write_text(text(seed, lines), encoding="utf-8")
        Path(f"{name}.en").write_text(text(seed + 9, lines), encoding="utf-8")
    return tmp_path


def texts() -> list[Path]:
    return [Path(f"{split}.{side}") for split in ("train", "valid") for side in ("de", "en")]


def chain(work: str, processes: int = 1, **tokens: object) -> None:
    """Run `tokenize`, `vocab` and `align` in one workspace."""
    chosen = {"type": "words", **tokens}
    tokenize.run(tokenize_options.TokenizeOptions(texts(), work=Path(work), processes=processes, **chosen))  # type: ignore[arg-type]
    vocab.run(vocab.VocabOptions(work=Path(work), processes=processes, min_count=2))
    align.run(
        replace(PAIR, work=Path(work), processes=processes, drop_leaked=True, drop_duplicates=not chosen.get("samples"))
    )


def sharded(work: str, count: int, **tokens: object) -> None:
    """Do the same by shards, after the tokenizer is made."""
    chosen = {"type": "words", **tokens}
    place, known = Path(work), tokenize_options.TokenizeOptions(texts(), work=Path(work), **chosen)  # type: ignore[arg-type]
    tokenize.run(tokenize_options.TokenizeOptions([Path("valid.de")], work=place, type=known.type, size=known.size,
                                  learn_from=texts()[:2], output=Path("unused"), overwrite=True))  # fmt: skip
    numbers = [f"{number}/{count}" for number in range(count, 0, -1)]
    for number in numbers:
        tokenize.run(replace(known, shard=number))
    tokenize.run(tokenize_options.TokenizeOptions(work=place, merge=True))
    for number in numbers:
        vocab.run(vocab.VocabOptions(work=place, shard=number))
    vocab.run(vocab.VocabOptions(work=place, merge=True, min_count=2))
    for number in numbers:
        align.run(replace(PAIR, work=place, drop_leaked=True, shard=number))
    align.run(align_options.AlignOptions(work=place, merge=True))


OWN_CHECKSUM = re.compile(rb',\n  "sha256": "[0-9a-f]{64}"(?=\n\}\s*$)')


def files(work: str) -> dict[str, bytes]:
    """Read all files of a workspace except shards and the tokenizer, with the name of the workspace replaced.

    A manifest's checksum of itself is left out, as it depends on that name too.
    """
    root = Path(work)
    return {
        str(path.relative_to(root)): OWN_CHECKSUM.sub(b"", path.read_bytes()).replace(
            json.dumps(work).encode(), b'"work"'
        )
        for path in sorted(root.rglob("*"))
        if path.is_file() and "-of-" not in str(path) and path.parts[1] != "tokenizer"
    }


@pytest.mark.parametrize("processes", [2, 3])
def test_output_is_independent_of_processes(corpus: Path, processes: int) -> None:
    chain("one")
    chain("many", processes)
    assert files("many") == files("one")
    assert active_children() == []
    assert {"tokens/train.de.tok", "vocab.tsv", "data/train.en.ids.npy", "data/meta.json"} <= files("one").keys()


def test_compressed_texts(corpus: Path) -> None:
    for path in texts():
        path.write_bytes(gzip.compress(path.read_bytes()))
    chain("one", type="unigram", size=282)
    chain("many", 2, type="unigram", size=282)
    assert files("many") == files("one")


def test_samples_of_several_processes_spell_the_text(corpus: Path) -> None:
    """SentencePiece samples differently in every process, so only the detokenized text is compared."""
    drawn = tokenize_options.TokenizeOptions(texts(), type="unigram", size=282, samples=3, processes=2)
    tokenizer = load_tokenizer(tokenize.run(drawn).tokenizer)
    for name in ("train.de", "train.en"):
        lines = Path("work/tokens", f"{name}.tok").read_text(encoding="utf-8").split("\n")[:-1]
        wanted = [tokenizer.normalizer(line) for line in read_lines(Path(name))]
        assert [tokenizer.detokenize(line.split()) for line in lines] == [line for line in wanted for _ in range(3)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_output_is_independent_of_shards(corpus: Path, count: int) -> None:
    chain_without_duplicates("one")
    sharded("many", count)
    assert files("many") == files("one")


def test_samples_are_the_same_in_shards(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize_command, "batch_lines", lambda lines: blocks_of(list(lines), 5))
    drawn = {"type": "unigram", "size": 282, "samples": 2}
    tokenize.run(tokenize_options.TokenizeOptions(texts(), work=Path("one"), **drawn))  # type: ignore[arg-type]
    sharded_tokens("many", 3, **drawn)
    for name in ("train.de.tok", "train.en.tok", "valid.de.tok"):
        assert Path("many/tokens", name).read_bytes() == Path("one/tokens", name).read_bytes()


def chain_without_duplicates(work: str) -> None:
    tokenize.run(tokenize_options.TokenizeOptions(texts(), work=Path(work), type="words"))
    vocab.run(vocab.VocabOptions(work=Path(work), min_count=2))
    align.run(replace(PAIR, work=Path(work), drop_leaked=True))


def sharded_tokens(work: str, count: int, **drawn: object) -> None:
    place = Path(work)
    tokenize.run(
        tokenize_options.TokenizeOptions(
            [Path("valid.de")], work=place, learn_from=texts()[:2], output=Path("unused"), type="unigram", size=282
        )
    )
    for number in range(1, count + 1):
        options = tokenize_options.TokenizeOptions(texts(), work=place, shard=f"{number}/{count}", **drawn)  # type: ignore[arg-type]
        tokenize.run(options)
    tokenize.run(tokenize_options.TokenizeOptions(work=place, merge=True))


def blocks_of(lines: list[str], size: int) -> list[list[str]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def refused(
    kind: type[RnnkitError],
    options: tokenize_options.TokenizeOptions | vocab.VocabOptions | align_options.AlignOptions,
    *values: object,
    path: str | None = None,
    option: str | None = None,
) -> None:
    """Check that the command of the options fails with this error, whose message names the values."""
    stages: dict[type[Any], Any] = {
        tokenize_options.TokenizeOptions: tokenize,
        vocab.VocabOptions: vocab,
        align_options.AlignOptions: align,
    }
    with raises(kind, *values, path=path, option=option):
        stages[type(options)].run(options)


@pytest.mark.parametrize("processes", [1, 2])
def test_errors_have_the_line_of_the_file(corpus: Path, processes: int) -> None:
    lines = Path("train.de").read_bytes().split(b"\n")
    lines[29] = b"a\xff"
    Path("train.de").write_bytes(b"\n".join(lines))
    wanted = tokenize_options.TokenizeOptions([Path("train.de")], type="chars", processes=processes)
    refused(DataError, wanted, "train.de:30:2", "0xff")
    for shard in ("1/3", "2/3"):
        tokenize.run(replace(wanted, shard=shard, processes=1))
    refused(DataError, replace(wanted, shard="3/3"), "train.de:30:2")
    assert [path.name for path in Path("work").rglob("*") if path.name.startswith(".")] == []
    lines[29], lines[33] = b"a\tb", b"a\tb\tc"
    Path("train.de").write_bytes(b"\n".join(lines))
    featured = replace(wanted, features=True, overwrite=True, work=Path("featured"))
    refused(DataError, featured, "train.de:34", "2 TABs")


def test_progress_with_several_processes(corpus: Path) -> None:
    heard: list[Event] = []
    tokenize.run(tokenize_options.TokenizeOptions([Path("train.de")], type="words", processes=2), heard.append)
    done = [event.done for event in heard if isinstance(event, Progress)]
    assert done == sorted(done)
    assert len(done) > 3
    assert heard[-1] == Progress("tokenize train.de", LINES, LINES, finished=True)


def test_killed_worker(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize_command, "TokenizeWorker", Dies)
    refused(
        WorkerError, tokenize_options.TokenizeOptions([Path("train.de")], type="words", processes=2), "9", "SIGKILL"
    )
    assert not Path("work/tokens/train.de.tok").exists()
    assert active_children() == []


class Dies(parallel_processing.TokenizeWorker):
    """Kills its own process at the first block."""

    def process(self, item: blocks.LineBlock | parallel_processing.SamplingBatch) -> parallel_processing.TokenizedBlock:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        return super().process(item)


def test_shard_is_valid_data(corpus: Path) -> None:
    chain_without_duplicates("work")
    align.run(replace(PAIR, shard="2/3"))
    whole, part = (AlignedData.open(Path("work", name)) for name in ("data", "data.2-of-3"))
    assert part.meta.facts["splits"]["train"]["lines"] == 12
    assert part.meta.inputs == whole.meta.inputs
    assert "shard" not in part.meta.options


def test_merges_vocabularies_of_two_texts(corpus: Path) -> None:
    tokenize.run(tokenize_options.TokenizeOptions(texts(), type="words"))
    paths = [Path("work/tokens/train.de.tok"), Path("work/tokens/train.en.tok")]
    vocab.run(vocab.VocabOptions(paths))
    places = [Path("a.tsv"), Path("b.tsv")]
    for path, place in zip(paths, places, strict=True):
        vocab.run(vocab.VocabOptions([path], output=place))
    merged = vocab.run(vocab.VocabOptions(places, merge=True, output=Path("c.tsv")))
    assert Path("c.tsv").read_bytes() == Path("work/vocab.tsv").read_bytes()
    assert merged.vocabularies[0].path == Path("c.tsv")
    vocab.run(vocab.VocabOptions(paths[:1], max_size=8, output=places[0], overwrite=True))
    again = vocab.VocabOptions(places, merge=True, output=Path("d.tsv"))
    refused(ArtefactError, again, "--min-count", "--max-size", "--merge", path="a.tsv")


def test_separate_vocabularies_by_shards(corpus: Path) -> None:
    tokenize.run(tokenize_options.TokenizeOptions(texts(), type="words"))
    vocab.run(vocab.VocabOptions(separate=True))
    for number in (1, 2):
        vocab.run(vocab.VocabOptions(separate=True, shard=f"{number}/2", output=Path("other/vocab.tsv")))
    vocab.run(vocab.VocabOptions(separate=True, merge=True, output=Path("other/vocab.tsv")))
    for side in ("de", "en"):
        assert Path(f"other/vocab.{side}.tsv").read_bytes() == Path(f"work/vocab.{side}.tsv").read_bytes()


def test_refuses_contradictory_options(corpus: Path) -> None:
    shard = tokenize_options.TokenizeOptions(texts(), type="words", shard="1/2")
    refused(DataError, shard, "--learn-from", path="work/tokenizer")
    refused(UsageError, tokenize_options.TokenizeOptions(texts(), merge=True), option="--merge")
    chain_without_duplicates("work")
    refused(UsageError, vocab.VocabOptions(shard="1/2", min_count=2), "--merge", option="--min-count")
    refused(UsageError, replace(PAIR, shard="1/2", drop_duplicates=True), "--processes", option="--drop-duplicates")
    refused(DataError, align_options.AlignOptions(merge=True, overwrite=True), "work/data")
    with raises(UsageError, option="--processes"):
        next(tokenize.open_filter(tokenize_options.TokenizeOptions(processes=2)))


def test_refuses_shards_of_different_runs(corpus: Path) -> None:
    chain_without_duplicates("work")
    align.run(replace(PAIR, shard="1/2"))
    align.run(replace(PAIR, shard="2/2", max_length=5))
    merge = align_options.AlignOptions(merge=True, overwrite=True)
    refused(ArtefactError, merge, "work/data.1-of-2", "work/data.2-of-2", "--max-length")
    Path("work/data.1-of-2/train.de.ids.npy").write_bytes(b"")
    refused(ArtefactError, merge, "work/data.1-of-2", "train.de.ids.npy")
    assert AlignedData.open(Path("work/data")).sides == ("de", "en")
