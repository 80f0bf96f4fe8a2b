"""Outputs of `decode` that are continued: only with the same models, text, files and options."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.covering import parametrize
from tests.raising import raises
from tests.tiny_models import (
    counts,
    counts_folder,
    filler,
    filler_folder,
    speaker,
    speaker_folder,
    translator,
    translator_folder,
)

from rnnkit.errors import ArtefactError, FormatError, UsageError
from rnnkit.events import Event, Note, Progress, null_listener
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.stages.inference.decode_record import record_path

STOPPED = 100
"""Lines after which a run is interrupted."""

LINES = [
    f"{first} {verb} on the mat"
    for first in ("the king", "a dog", "the queen", "a cat", "i am very hungry the king", "the very hungry cat")
    for verb in ("sat", "ran", "sat ran", "ran sat", "very", "hungry", "mat", "on", "sat on", "ran on")
] * 2
PHRASES = ["king\tmat", "", "dog", "on the mat", "", "queen ran"] * 20


@dataclass(frozen=True)
class Kind:
    """One way to use `decode`: its options, and models by the option that names them."""

    options: dict[str, Any]
    models: tuple[str, ...] = ("a",)


KINDS = {
    "translation": Kind({"beam": 2}),
    "n-best": Kind({"beam": 4, "groups": 2, "diversity": 0.5, "nbest": 3}),
    "json": Kind({"beam": 1, "json": True}),
    "alignments": Kind({"beam": 2, "nbest": 2, "alignments": Path("links")}),
    "sampled": Kind({"sample": True, "nbest": 2, "seed": 5}),
    "ensemble": Kind({"beam": 2, "fusion": ["lm:0.3", "counts"]}, ("a", "b")),
    "right to left": Kind({"beam": 2}, ("r",)),
    "both directions": Kind({"beam": 2, "constraints": Path("phrases")}, ("a", "r")),
    "demands": Kind({"beam": 2, "constraints": Path("phrases"), "prefix_file": Path("prefixes")}),
    "lexicon": Kind({"beam": 2, "replace_unknown": True, "lexicon": Path("lexicon")}),
    "continuation": Kind({"max_length": 6}, ("lm",)),
    "drawn continuation": Kind({"max_length": 6, "top_k": 3, "nbest": 2, "prompt": False}, ("lm",)),
    "counted continuation": Kind({"max_length": 6, "beam": 2}, ("counts",)),
    "fill": Kind({"fill": True, "nbest": 2}, ("cloze",)),
    "fill, json": Kind({"fill": True, "json": True}, ("cloze",)),
}


def _build(name: str, shift: int, folder: Path) -> Path:
    """A model directory; those of another shift have other weights or counts."""
    match name:
        case "lm":
            return speaker_folder(folder, speaker(seed=4 + shift))
        case "counts":
            return counts_folder(folder, counts(order=3 if shift else 2))
        case "cloze":
            return filler_folder(folder, filler(seed=5 + shift))
    seed = {"a": 1, "b": 2, "r": 3}[name] + shift
    return translator_folder(folder, translator(seed=seed, spread=1.0, right_to_left=name == "r"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models and text; `other` holds the same models trained anew."""
    root = tmp_path_factory.mktemp("resume")
    for place, shift in ((root, 0), (root / "other", 10)):
        for name in ("a", "b", "r", "lm", "counts", "cloze"):
            _build(name, shift, place / f"{name}.parts").rename(place / name)
    texts = {
        "text": LINES,
        "phrases": PHRASES,
        "prefixes": ["the", "", "a"] * 40,
        "lexicon": ["king\tqueen\t0.9", "the\ta\t0.8"],
        "gaps": [line.replace(" on ", " ___ ", 1) for line in LINES],
    }
    for name, lines in texts.items():
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with all of it."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def asked(kind: Kind, **changes: Any) -> DecodeOptions:
    text = Path("gaps" if "fill" in kind.options else "text")
    return DecodeOptions(**{
        "files": [text], "model": [Path(name) for name in kind.models], "threads": 1, "output": Path("out"),
        **kind.options, **changes,
    })  # fmt: skip


def stop(event: Event) -> None:
    """A listener that interrupts the run."""
    if isinstance(event, Progress) and event.done == STOPPED:
        raise KeyboardInterrupt


def interrupt(options: DecodeOptions) -> None:
    with pytest.raises(KeyboardInterrupt):
        decode.write(options, stop)
    assert Path("out.partial").is_file()
    assert not Path("out").exists()


def written(options: DecodeOptions) -> list[str]:
    """Everything that a finished run has written; scores are left out, whose last digits depend on the batch."""
    paths = [options.output] + ([] if options.alignments is None else [options.alignments])
    texts = [path.read_text(encoding="utf-8") for path in paths]
    if options.json:
        rows = map(json.loads, texts[0].splitlines())
        texts[0] = "".join(f"{row['line']} {[one['text'] for one in row['outputs']]}\n" for row in rows)
    return texts


def whole(options: DecodeOptions) -> list[str]:
    """What a run writes that nothing interrupts."""
    links = None if options.alignments is None else Path("whole links")
    other = replace(options, output=Path("whole"), alignments=links, resume=False)
    decode.write(other)
    return written(other)


def edit(path: str, change: Callable[[list[str]], list[str]]) -> None:
    lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    Path(path).write_text("".join(change(lines)), encoding="utf-8")


def refused(options: DecodeOptions, *words: str) -> None:
    """The run is refused with these words, and changes nothing."""
    before = {path: path.read_bytes() for path in Path().glob("out*")}
    with pytest.raises(ArtefactError) as caught:
        decode.write(options)
    for word in words:
        assert word in str(caught.value)
    assert "--overwrite" in str(caught.value.hint)
    assert {path: path.read_bytes() for path in Path().glob("out*")} == before


@pytest.mark.parametrize("name", KINDS)
def test_an_interrupted_output_becomes_what_it_would_have_been(here: Path, name: str) -> None:
    options = asked(KINDS[name])
    wanted = whole(options)
    interrupt(options)
    decode.write(replace(options, resume=True))
    assert written(options) == wanted
    assert sorted(path.name for path in Path().glob("out*")) == ["out", "out.decode.json"]
    record = json.loads(Path("out.decode.json").read_text(encoding="utf-8"))
    assert record["facts"]["lines"] == len(LINES)
    heard: list[Event] = []
    decode.write(replace(options, resume=True), heard.append)
    assert heard == [Note(f"out is complete: all {len(LINES)} input lines are decoded")]
    assert written(options) == wanted


def retrain(name: str) -> None:
    shutil.rmtree(name)
    shutil.copytree(f"other/{name}", name)


CHANGES: dict[str, tuple[Callable[[DecodeOptions], DecodeOptions | None], str]] = {
    "model retrained": (lambda options: retrain(str(options.model[0])), "by another model\n  model: "),
    "last model retrained": (lambda options: retrain(str(options.model[-1])), "by another model\n  model"),
    "vocabulary changed": (
        lambda options: edit(f"{options.model[0]}/vocab.tsv", lambda lines: [*lines[:-2], *lines[:-3:-1]]),
        "model: vocab.tsv (",
    ),
    "tokenizer changed": (
        lambda options: edit(f"{options.model[0]}/tokenizer/meta.json", lambda lines: [*lines, "\n"]),
        "model: tokenizer/meta.json (",
    ),
    "text sorted": (lambda options: edit(str(options.files[0]), sorted), "from another text\n  text ("),
    "text shorter": (lambda options: edit(str(options.files[0]), lambda lines: lines[:-5]), "from another text\n"),
    "text much shorter": (lambda options: edit(str(options.files[0]), lambda lines: lines[:9]), "from another text\n"),
    "second text": (lambda options: replace(options, files=[*options.files, options.files[0]]), "text 2 ("),
    "other option": (lambda options: replace(options, allow_unknown=True), "--allow-unknown was False, now True"),
    "other seed": (lambda options: replace(options, seed=77), "--seed was "),
    "other lines": (lambda options: replace(options, nbest=1, json=not options.json), "--json was "),
}  # fmt: skip


@pytest.fixture
def left(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], DecodeOptions]:
    """Makes a folder in which a run of some kind was interrupted, or is finished; each is run once."""

    def enter(name: str, finished: bool) -> DecodeOptions:
        options, kept = asked(KINDS[name]), made.with_name(f"{made.name} {name} {finished}")
        if not kept.exists():
            shutil.copytree(made, kept)
            monkeypatch.chdir(kept)
            if finished:
                decode.write(options)
            else:
                interrupt(options)
        shutil.copytree(kept, tmp_path / "left")
        monkeypatch.chdir(tmp_path / "left")
        return options

    return enter


@parametrize(2, name=list(KINDS), change=list(CHANGES), finished={"interrupted": False, "finished": True})
def test_nothing_else_is_continued(
    left: Callable[[str, bool], DecodeOptions], name: str, change: str, finished: bool
) -> None:
    options = left(name, finished)
    act, words = CHANGES[change]
    other = replace(act(options) or options, resume=True)
    refused(other, "out was made" if finished else "out.partial was made", words)


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
def test_what_is_refused_can_begin_anew(left: Callable[[str, bool], DecodeOptions], finished: bool) -> None:
    options = left("alignments", finished)
    edit("text", lambda lines: lines[:9])
    retrain("a")
    anew = replace(options, overwrite=True)
    decode.write(anew)
    assert written(anew) == whole(options)
    decode.write(replace(options, resume=True))
    assert written(anew) == whole(options)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("demands", "phrases"),
        ("demands", "prefixes"),
        ("both directions", "phrases"),
        ("lexicon", "lexicon"),
        ("ensemble", "lm"),
        ("ensemble", "counts"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_what_stands_beside_the_text_is_compared(
    left: Callable[[str, bool], DecodeOptions], name: str, changed: str, finished: bool
) -> None:
    options = left(name, finished)
    if Path(changed).is_dir():
        retrain(changed)
    else:
        edit(changed, lambda lines: [*lines[1:], lines[0]] if changed != "lexicon" else lines[:1])
    refused(replace(options, resume=True), "with other input files", f"({changed}", " then, sha256 ")


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_text_that_has_grown_is_continued(
    left: Callable[[str, bool], DecodeOptions], name: str, finished: bool
) -> None:
    options = left(name, finished)
    for path in (options.files[0], options.constraints, options.prefix_file):
        if path is not None:
            edit(str(path), lambda lines: [*lines, *lines[:7]])
    decode.write(replace(options, resume=True))
    assert written(options) == whole(options)


@pytest.mark.parametrize("finished", [False, True])
def test_a_line_that_has_grown_is_another_text(here: Path, finished: bool) -> None:
    edit("text", lambda lines: [*lines[:-1], lines[-1].rstrip("\n")])
    options = asked(KINDS["translation"])
    if finished:
        decode.write(options)
    else:
        interrupt(options)
    edit("text", lambda lines: [*lines[:-1], f"{lines[-1]} the king\n", "a dog\n"])
    refused(replace(options, resume=True), "was made from another text")


@pytest.mark.parametrize("name", ["translation", "n-best", "alignments", "continuation", "fill"])
@pytest.mark.parametrize("place", ["out.partial", "out", "links.partial", "links"])
def test_an_output_that_was_edited_is_not_continued(
    left: Callable[[str, bool], DecodeOptions], name: str, place: str
) -> None:
    options = left(name, not place.endswith(".partial"))
    if place.startswith("links") and options.alignments is None:
        return
    edit(place, lambda lines: ["0-0 9-9\n" if place.startswith("links") else "edited\n", *lines[1:]])
    refused(replace(options, resume=True), f"{place} has changed since `rnnkit decode` wrote it")


@pytest.mark.parametrize("place", ["out.partial", "out"])
def test_without_a_record_nothing_is_continued(here: Path, place: str) -> None:
    Path(place).write_text("a line\n", encoding="utf-8")
    options = replace(asked(KINDS["translation"]), resume=True)
    refused(options, f"{place} has no record of how it was made\n", f"{place}.decode.json is missing")
    Path(f"{place}.decode.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match=rf"{place}\.decode\.json is damaged"):
        decode.write(options)


def test_an_old_output_stays_until_the_new_one_is_whole(here: Path) -> None:
    old = asked(KINDS["translation"])
    decode.write(old)
    before = [Path(name).read_bytes() for name in ("out", "out.decode.json")]
    new = replace(old, beam=3, overwrite=True)
    with pytest.raises(KeyboardInterrupt):
        decode.write(new, stop)
    assert [Path(name).read_bytes() for name in ("out", "out.decode.json")] == before
    refused(replace(old, resume=True), "out.partial was made with other options\n  --beam was 3, now 2")
    decode.write(replace(new, overwrite=False, resume=True))
    assert written(new) == whole(new)


def test_kill_between_the_renames_is_repaired(here: Path) -> None:
    options = asked(KINDS["translation"])
    decode.write(options)
    Path("out.decode.json").rename("out.partial.decode.json")
    heard: list[Event] = []
    decode.write(replace(options, resume=True), heard.append)
    assert heard == [Note(f"out is complete: all {len(LINES)} input lines are decoded")]


def test_links_requested_later_cover_all_lines(here: Path) -> None:
    options = asked(KINDS["alignments"])
    decode.write(replace(options, alignments=None))
    decode.write(replace(options, resume=True))
    assert written(options) == whole(options)
    decode.write(replace(options, alignments=None, resume=True))
    Path("stranger").write_text("precious\n", encoding="utf-8")
    Path("out").unlink()
    with raises(ArtefactError, "record of out", path="stranger", option="--alignments"):
        decode.write(replace(options, alignments=Path("stranger"), resume=True))
    assert Path("stranger").read_text(encoding="utf-8") == "precious\n"


def feed(text: str) -> Path:
    """A new pipe that a text is written into."""
    path = Path(f"pipe{len(list(Path().glob('pipe*')))}").absolute()
    os.mkfifo(path)
    threading.Thread(target=path.write_text, args=[text], daemon=True).start()
    return path


def test_lines_of_a_stream_are_compared_as_they_are_read_again(here: Path) -> None:
    text = Path("text").read_text(encoding="utf-8")
    options = asked(KINDS["translation"])
    wanted = whole(options)
    interrupt(replace(options, files=[feed(text)]))
    again = replace(options, resume=True)
    lines = text.splitlines(keepends=True)
    for other in (["a dog\n", *lines[1:]], lines[: STOPPED - 1]):
        refused(replace(again, files=[feed("".join(other))]), "out.partial was made from another text")
    decode.write(replace(again, files=[feed(text)]))
    assert written(options) == wanted
    heard: list[Event] = []
    decode.write(again, heard.append)
    assert heard[-1] == Note(f"out is complete: there are no lines after line {len(LINES)}")
    shorter = replace(again, files=[feed("".join(lines[:-1]))])
    refused(shorter, "out was made from another text", f"it had {len(LINES)} lines then, {len(LINES) - 1} now")
    decode.write(replace(again, files=[feed(f"{text}a dog ran\n")]))
    assert written(options)[0].startswith(wanted[0])
    assert written(options)[0].count("\n") == len(LINES) + 1


def test_phrases_of_a_stream_cannot_be_compared(here: Path) -> None:
    phrases = Path("phrases").read_text(encoding="utf-8")
    interrupt(asked(KINDS["demands"], constraints=feed(phrases)))
    other = asked(KINDS["demands"], constraints=feed(phrases), resume=True)
    refused(other, f"--constraints ({other.constraints}) cannot be compared")


def test_a_device_has_no_record(here: Path) -> None:
    options = asked(KINDS["translation"], output=Path("/dev/null"), resume=True)
    with raises(UsageError, path="/dev/null", option="--resume"):
        decode.write(options)
    assert not record_path(Path("/dev/null")).exists()


KILLED = """
import os, signal
from rnnkit.cli import start
from rnnkit.stages.inference import decode_resume as resume

resume.MIN_SECONDS = resume.MAX_SECONDS = 0.0
write, records = resume.manifest.write, []

def write_or_die(path, record):
    if record.facts["lines"] and len(records) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, record)
    if record.facts["lines"]:
        records.append(path)

resume.manifest.write = write_or_die
start.main()
"""
"""A process that is killed when lines stand behind its second record, however fast the machine is."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alignments", "fill"])
def test_killed_process_loses_only_unrecorded_lines(here: Path, name: str) -> None:
    kind = KINDS[name]
    options = asked(kind)
    edit(str(options.files[0]), lambda lines: lines * 18)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in kind.options.items() if value is not True]
    words += [f"--{key}" for key, value in kind.options.items() if value is True]
    command = [sys.executable, "-c", KILLED, "decode", str(options.files[0]), "--output", "out", "--threads", "1"]
    command += [f"--model={name}" for name in kind.models] + words
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
    record = json.loads(Path("out.partial.decode.json").read_text(encoding="utf-8"))
    assert record["facts"]["lines"] > 0
    assert not Path("out").exists()
    decode.write(replace(options, resume=True), null_listener)
    assert written(options) == whole(options)
