"""`align-words`: from aligned data or token files to links, a lexicon and a shortlist."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.raising import raises
from tests.workspaces import make_workspace

from rnnkit.alignment.alignment_links import check_links_match_data, read_links
from rnnkit.alignment.shortlist import Shortlist
from rnnkit.data.aligned_data import AlignedData
from rnnkit.errors import ArtefactError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Status, WarningEvent
from rnnkit.io import manifest
from rnnkit.stages.text import align, align_options
from rnnkit.stages.text.align_words import AlignWordsOptions, run

QUICK = {"iterations": 2, "threads": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("words"))


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the workspace, with an empty folder as working directory."""
    monkeypatch.chdir(tmp_path)
    return made


def options(work: Path, **given: object) -> AlignWordsOptions:
    return AlignWordsOptions(work=work, **{"output": Path("links"), **QUICK, **given})  # type: ignore[arg-type]


def refused(
    kind: type[RnnkitError],
    given: AlignWordsOptions,
    *values: object,
    path: str | None = None,
    option: str | None = None,
) -> None:
    """Check that the command fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(given)


def test_everything(work: Path) -> None:
    data = AlignedData.open(work / "data")
    result = run(options(work, lexicon=Path("lexicon"), shortlist=Path("shortlist"), best=5, frequent=7))
    source_lengths, target_lengths = (np.diff(data.side("train", side).offsets) - 1 for side in ("de", "en"))
    links = read_links(Path("links"), source_lengths, target_lengths)
    assert (result.pairs, result.links, len(links)) == (150, len(links.source_L), 150)
    check_links_match_data(Path("links"), data.folder)
    assert manifest.find_mismatches(Path("links")) == []
    meta = manifest.read(Path("links"), "links", 1)
    assert meta.facts == {"sides": ["de", "en"], "pairs": 150, "links": result.links}
    assert meta.options["iterations"] == 2

    rows = [row.split("\t") for row in Path("lexicon").read_text(encoding="utf-8").splitlines()]
    table: dict[str, list[tuple[float, str]]] = {}
    for source, target, p in rows:
        table.setdefault(source, []).append((float(p), target))
    assert table["eine"][0][1] == "a"
    assert all(best == sorted(best, key=lambda row: -row[0]) for best in table.values())

    shortlist = Shortlist.open(Path("shortlist"))
    digest = manifest.sha256(work / "vocab.tsv")
    shortlist.check_vocabularies(digest, digest)
    assert (np.diff(shortlist.offset_S1) <= 6).all()
    assert len(shortlist.always_F) == 9
    with raises(ArtefactError, "shortlist"):
        shortlist.check_vocabularies(digest, "0" * 64)
    assert manifest.find_mismatches(Path("shortlist")) == []


def test_shortlist_is_always_forward(work: Path) -> None:
    both, backward = Path("both"), Path("backward")
    run(options(work, shortlist=both))
    result = run(options(work, direction="backward", shortlist=backward, output=Path("other")))
    assert list(result.bits) == ["forward", "backward"]
    assert (both / "targets.npy").read_bytes() == (backward / "targets.npy").read_bytes()


def test_reports(work: Path) -> None:
    result = run(options(work))
    first, *others = result.lines
    assert first.startswith(f"links: {result.links:,} links in 150 sentence pairs, ")
    assert [line.partition(":")[0] for line in others] == ["forward", "backward"]
    document = json.loads(json.dumps(result.as_dict()))
    assert document["path"] == "links"
    assert document["pairs_per_second"] > 0
    for bits in document["bits"].values():
        assert len(bits) == 4
        assert bits[-1] < bits[0]


def test_symmetrization_methods_are_nested(work: Path) -> None:
    found = {}
    ways = [{"direction": name} for name in ("forward", "backward")]
    ways += [{"symmetrize": name} for name in ("intersection", "grow-diag", "grow-diag-final-and", "union")]
    for way in ways:
        result = run(options(work, overwrite=True, **way))
        found[next(iter(way.values()))] = {
            (line, link) for line, links in enumerate(Path("links").read_text().splitlines()) for link in links.split()
        }
        assert list(result.bits) == ([way["direction"]] if "direction" in way else ["forward", "backward"])
    assert found["intersection"] == found["forward"] & found["backward"]
    assert found["union"] == found["forward"] | found["backward"]
    assert found["intersection"] < found["grow-diag"] <= found["grow-diag-final-and"] < found["union"]


def test_lexicon_is_always_forward(work: Path) -> None:
    result = run(options(work, direction="backward", lexicon=Path("lexicon")))
    assert list(result.bits) == ["forward", "backward"]
    backward = Path("links").read_text()
    run(options(work, direction="backward", overwrite=True))
    assert Path("links").read_text() == backward


def test_token_files(work: Path) -> None:
    tokens = [work / "tokens" / f"train.{side}.tok" for side in ("de", "en")]
    result = run(options(work, files=tokens, output=Path("files"), lexicon=Path("lexicon")))
    run(options(work))
    assert Path("files").read_text() == Path("links").read_text()
    assert manifest.read(Path("files"), "links", 1).inputs == {
        "source": manifest.sha256(tokens[0]), "target": manifest.sha256(tokens[1])
    }  # fmt: skip
    assert result.pairs == 150
    assert "eine\ta\t" in Path("lexicon").read_text(encoding="utf-8")


def test_default_output_of_links(work: Path) -> None:
    result = run(replace(options(work), output=None, split="valid"))
    assert result.path == work / "links"
    result.path.unlink()
    manifest.manifest_path(result.path).unlink()


def test_compare(work: Path) -> None:
    run(options(work))
    again = run(options(work, output=Path("again"), compare=Path("links")))
    assert again.agreement == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "error_rate": 0.0}
    assert again.lines[-1] == "precision 1.0000, recall 1.0000, f1 1.0000, error rate 0.0000"
    lines = Path("links").read_text().splitlines()
    Path("gold").write_text("".join(f"{line.replace('-', '?')}\n" for line in lines))
    possible = run(options(work, output=Path("third"), compare=Path("gold"))).agreement
    assert possible == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "error_rate": 0.0}
    Path("gold").write_text("0-0\n")
    refused(DataError, options(work, output=Path("fourth"), compare=Path("gold")), "gold", 1, 150)
    assert not Path("fourth").exists()


def test_long_pairs_are_reported_and_have_an_empty_line(work: Path) -> None:
    heard: list[Event] = []
    result = run(options(work, max_length=5), heard.append)
    assert result.too_long > 0
    assert next(event for event in heard if not isinstance(event, Status)) == WarningEvent(
        f"skipped {result.too_long:,} sentence pairs with more than 5 tokens"
    )
    assert Path("links").read_text().splitlines().count("") >= result.too_long


def test_threads_change_nothing(work: Path) -> None:
    run(options(work))
    run(options(work, output=Path("three"), threads=3))
    assert Path("links").read_bytes() == Path("three").read_bytes()


def test_nothing_is_overwritten(work: Path) -> None:
    given = options(work, lexicon=Path("lexicon"), shortlist=Path("shortlist"))
    for path in (Path("links"), Path("lexicon")):
        path.write_text("mine")
        refused(ArtefactError, given, "--overwrite", "--output", path=str(path))
        path.unlink()
    Path("shortlist").mkdir()
    Path("shortlist/notes").write_text("mine")
    refused(ArtefactError, replace(given, overwrite=True), "shortlist")
    Path("shortlist/notes").unlink()
    run(given)
    before = Path("links").read_bytes()
    run(replace(given, overwrite=True))
    assert Path("links").read_bytes() == before


def test_refuses_exclusive_options(work: Path) -> None:
    both = options(work, direction="forward", symmetrize="union")
    refused(UsageError, both, "--direction forward", option="--symmetrize")
    files = [Path("a"), Path("b")]
    refused(UsageError, options(work, files=files, shortlist=Path("s")), "`rnnkit align`", option="--shortlist")
    refused(UsageError, options(work, files=files, data=Path("d")), option="--data")
    refused(UsageError, options(work, files=files[:1]), "two token files", 1)


def test_refuses_missing_inputs(work: Path) -> None:
    refused(DataError, options(Path("none")), "none/data")
    refused(DataError, options(work, split="test"), work / "data", "test.de")
    Path("a").write_text("x\n")
    Path("b").write_text("x\ny\n")
    refused(DataError, options(work, files=[Path("a"), Path("b")]), "a has 1 lines, b has 2", path="b")
    align.run(align_options.AlignOptions(text="de", work=work, output=Path("text")))
    refused(DataError, options(work, data=Path("text")), "one side, de", path="text")


def test_refuses_another_vocabulary(work: Path) -> None:
    Path("vocab.tsv").write_text((work / "vocab.tsv").read_text(encoding="utf-8") + "new\t1\n", encoding="utf-8")
    given = options(work, lexicon=Path("lexicon"), vocab=[Path("vocab.tsv")])
    refused(ArtefactError, given, work / "data", path="vocab.tsv", option="--vocab")
    two = [Path("vocab.tsv")] * 2
    refused(UsageError, replace(given, vocab=two), work / "data", "2 files", 1, option="--vocab")


def test_separate_vocabularies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = make_workspace(tmp_path, separate=True)
    monkeypatch.chdir(tmp_path)
    run(options(work, lexicon=Path("lexicon"), shortlist=Path("shortlist"), best=3))
    assert "eine\ta\t" in Path("lexicon").read_text(encoding="utf-8")
    shortlist = Shortlist.open(Path("shortlist"))
    shortlist.check_vocabularies(*(manifest.sha256(work / f"vocab.{side}.tsv") for side in ("de", "en")))
    assert (np.diff(shortlist.offset_S1) <= 3).all()
