"""Whatever files hold and are called, no command steers the terminal with it or forges a message."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import typing
from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest
from tests import tiny_models

from rnnkit.cli.commands import COMMANDS
from rnnkit.cli.console import Console
from rnnkit.errors import RnnkitError, escape_control, escape_json, escape_line
from rnnkit.events import Note, Progress, WarningEvent
from rnnkit.options.declare import parameters_of

from .conftest import Outcome, Run

EVIL = "a\x1b[31m\x1b]0;t\x07\x9b2J\u202e\u2066\x7f\x85\u2028$x$[bold]"
"""Sequences that color, rename the window, clear the screen and turn the direction; markup that is none."""

WORD = EVIL.replace("\x85", "").replace("\u2028", "")
"""The same without what Unicode takes for white space, so that it can be a token."""

NAME = f"{EVIL}\nerror: forged"
"""The same as a file's name, which may hold a line end."""

BYTES = f"{NAME}\udcff"
"""The same with a byte that is not UTF-8."""

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

DATA = {"tokenize", "detokenize", "phrases", "decode", "score"}
"""Commands whose standard output is text for other programs, which goes through as it is."""


def check(name: str, outcome: Outcome) -> None:
    assert "defect" not in outcome.err
    assert "Traceback" not in outcome.err
    assert STEERING.search(outcome.err) is None, outcome.err
    assert "\nerror: forged" not in outcome.err
    if name not in DATA:
        assert STEERING.search(outcome.out) is None, outcome.out


def fields() -> list[tuple[str, str]]:
    found = []
    for command in COMMANDS.values():
        for each in parameters_of(command.options_type):
            if (typing.get_args(each.kind)[0] if each.is_list else each.kind) in (str, Path):
                found.append((command.name, each.name))
    return found


@pytest.mark.parametrize(("name", "hostile"), fields())
def test_options(run: Run, name: str, hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option that is text or a path, with all else that is needed beside it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    flags, arguments = [], []
    for each in parameters_of(COMMANDS[name].options_type):
        if each.name == hostile or each.default is MISSING:
            value = BYTES if each.name == hostile else "0"
            if each.declared.argument:
                arguments.append(value)
            else:
                flags.append(f"{each.spelling}={value}")
    check(name, run(name, *flags, "--", *arguments))


@pytest.mark.parametrize("words", [[BYTES], [f"--{BYTES}"], ["inspect", f"--{BYTES}"], ["inspect", BYTES, NAME]])
def test_words_that_are_unknown(run: Run, words: list[str]) -> None:
    check("", run(*words))


def speak(folder: Path) -> Path:
    return tiny_models.counts_folder(folder, tiny_models.counts())


def translate(folder: Path) -> Path:
    return tiny_models.translator_folder(folder, tiny_models.translator(size=tiny_models.SIZE + 1), more=[WORD])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose names and contents are hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    lines = [f"the king {EVIL} sat", "a dog ran on the mat", f"{EVIL} the queen {EVIL}"] * 4
    for part in ("train", "valid"):
        for side in ("de", "en"):
            (folder / f"{part}.{side}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / f"{NAME}.de").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    words = [WORD, "king", "queen", f"b{EVIL[:5]}"]
    (folder / NAME).mkdir()
    (folder / NAME / "vectors.txt").write_text(
        f"{len(words)} 3\n" + "".join(f"{word} {n}.5 1 2\n" for n, word in enumerate(words)), encoding="utf-8"
    )
    (folder / "analogies.txt").write_text(f": {EVIL}\nking queen king {words[0]}\n", encoding="utf-8")
    speak(folder / f"{NAME}lm")
    translate(folder / f"{NAME}mt")
    (folder / f"{NAME}mt" / "model" / "metrics.jsonl").write_text('{"step": 1, "nll": 3.0}\n')
    (folder / "bad").mkdir()
    (folder / "bad" / "config.json").write_text(json.dumps({"kind": EVIL, EVIL: EVIL}), encoding="utf-8")
    (folder / "bad" / "meta.json").write_text(
        json.dumps({"kind": EVIL, "version": 1, "options": {EVIL: EVIL}, "files": {EVIL: EVIL}, "inputs": {EVIL: EVIL}})
    )
    return folder


VECTORS = f"{NAME}/vectors.txt"
LM, MT = f"{NAME}lm/model", f"{NAME}mt/model"
TABLE = ["--format", "tsv", "--columns=x=1", "--split=test=1"]
RUNS: dict[str, list[list[str]]] = {
    "extract": [
        [f"{NAME}.de", *TABLE, "--output", NAME + "rows"],
        [f"{NAME}.de", *TABLE[:2], f"--columns={EVIL}=1", *TABLE[3:]],
        [f"{NAME}.de", *TABLE[:2], f"--columns=x={EVIL}", *TABLE[3:]],
        [f"{NAME}.de", *TABLE, "--output", NAME + "rows", "--repair", "--overwrite", "--json"],
    ],
    "tokenize": [
        ["train.de", "train.en", "valid.de", "valid.en", "--type", "spaces"],
        [f"{NAME}.de", "--type", "spaces", "--work", NAME + "w"],
    ],
    "vocab": [[]],
    "align": [["--source", "de", "--target", "en"]],
    "align-words": [["--iterations", "1", "--overwrite"], ["--lexicon", f"{NAME}.lex", "--overwrite"]],
    "represent": [["--side", "de", "--output", NAME + "repr"]],
    "detokenize": [[f"{NAME}.de"]],
    "phrases": [[f"{NAME}.de", "--output", NAME + "phrases"]],
    "train": [["--dry-run", "--hidden", "4", "--embedding", "4"]],
    "train-seq2seq": [["--init-from", MT, "--output", NAME + "m"]],
    "train-lm": [["--data", "one", "--arch", "ngram", "--output", NAME + "m2"]],
    "train-tagger": [["--output", NAME + "m3"], ["--init-from", MT, "--output", NAME + "m3"]],
    "train-classifier": [["--class-weights", f"{EVIL}=2", "--output", NAME + "m4"]],
    "train-embeddings": [[f"{NAME}.de", "--output", NAME + "v", "--epochs", "1", "--dimension", "4"]],
    "decode": [["train.de", "--model", MT], [f"{NAME}.de", "--model", MT, "--output", NAME + "hyp"]],
    "neighbors": [["king", EVIL, "--vectors", VECTORS], ["king", "--json", "--vectors", VECTORS]],
    "similarity": [["king", EVIL, "--vectors", VECTORS], ["king", "queen", "--json", "--vectors", VECTORS]],
    "analogy": [
        ["king", "-", "queen", "+", EVIL, "--vectors", VECTORS],
        ["king", "-", "queen", "+", "king", "--vectors", VECTORS],
    ],
    "odd-one-out": [["king", "queen", EVIL, "--vectors", VECTORS], ["king", "queen", WORD, "--vectors", VECTORS]],
    "score": [["train.de", "--model", LM], [f"{NAME}.de", "--model", LM, "--output", NAME + "score"]],
    "bleu": [[f"{NAME}.de", "--hypotheses", "train.de"], ["train.de", "--hypotheses", "train.en", "--json"]],
    "error-rate": [[f"{NAME}.de", "--hypotheses", "train.de"]],
    "evaluate-labels": [
        [f"{NAME}.de", "--hypotheses", "train.de"],
        ["train.de", "--hypotheses", "train.de", "--figure", NAME + "c.svg", "--json"],
    ],
    "evaluate-embeddings": [["analogies.txt", "--vectors", VECTORS], ["analogies.txt", "--json", "--vectors", VECTORS]],
    "inspect": [[f"{NAME}.de"], ["bad"], ["bad/config.json"], ["work"], [LM, MT], [MT, "--json"], [VECTORS], ["."]],
    "verify": [["bad"], [LM, MT], [f"{NAME}.de"], [LM, "--json"]],
    "average": [[MT, MT, "--output", NAME + "average"]],
    "convert-embeddings": [["--vectors", VECTORS, NAME + "converted.bin", "--to", "word2vec"]],
    "convert-ngrams": [["--model", LM, NAME + ".arpa"], ["--model", LM, "--overwrite", NAME + ".arpa"]],
    "diagnose": [[LM], [MT]],
    "plot": [[MT, "--output", NAME + ".png"], [VECTORS, "--output", NAME + ".svg"]],
    "demo": [["--corpora", NAME]],
}  # fmt: skip


REFUSED = {"train-seq2seq", "train-lm", "train-tagger", "train-classifier", "demo", "diagnose"}
"""Commands of which only the errors are looked at."""


def test_every_command_is_tried() -> None:
    assert set(RUNS) == set(COMMANDS)


@pytest.mark.parametrize("quiet", [False, True])
def test_names_and_contents(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, quiet: bool, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    succeeded, failed = set(), dict[str, str]()
    for name, lines in RUNS.items():
        for words in lines:
            if quiet and "quiet" not in [each.name for each in parameters_of(COMMANDS[name].options_type)]:
                words = [*words, "--quiet"]
            outcome = run(name, *words)
            check(name, outcome)
            if outcome.code == 0:
                succeeded.add(name)
            else:
                failed[name] = outcome.err
    failed = {name: why for name, why in failed.items() if name not in {*succeeded, *REFUSED}}
    refused = "is not a valid name for an art"  # a manifest could not hold it
    assert quiet or {name: text for name, text in failed.items() if refused not in text} == {}


def test_a_name_that_is_not_utf8(run: Run, tmp_path: Path) -> None:
    (tmp_path / f"{BYTES}.de").write_text("the king sat\n")
    outcome = run("tokenize", f"{BYTES}.de", "--type", "words")
    check("", outcome)
    assert outcome.code in (0, 1)
    assert outcome.code == 0 or "bytes that are not UTF-8" in outcome.err


def test_print_config(run: Run) -> None:
    outcome = run("inspect", EVIL, "--print-config")
    check("", outcome)
    import tomllib

    assert tomllib.loads(outcome.out)["inspect"]["paths"] == [EVIL]


EVENTS: dict[str, Callable[[], Any]] = {
    "note": lambda: Note(NAME),
    "warning": lambda: WarningEvent(NAME),
    "progress": lambda: Progress(NAME, 1, 2, NAME, {NAME: NAME}),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("animated", [False, True])
def test_events(
    event: str, animated: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setenv("NO_COLOR", "1")
    with Console(clock=lambda: next(clock)) as console:
        console._animated = animated
        for _ in range(3):
            console.listen(EVENTS[event]())
        if event == "progress":
            console.listen(dataclasses.replace(EVENTS[event](), finished=True))
    err = capsys.readouterr().err
    assert "[bold]" in err
    assert STEERING.search(err) is None, err
    assert "\nerror: forged" not in err


def test_data_is_escaped_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console()
    console.write(EVIL)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    console.write(EVIL)
    plain, escaped = (capsys.readouterr().out.removesuffix("\n")).split("\n")
    assert (plain, escaped) == (EVIL, escape_control(EVIL))


def test_what_is_made_of_it() -> None:
    assert escape_control("a\tb\nc\\d ü 王 ‏") == "a\tb\nc\\d ü 王 ‏"
    assert escape_control("\x1b\x9b\u202e\udcff\ud800") == r"\x1b\x9b\u202e\xff\ud800"
    assert escape_line("a\nb") == r"a\nb"
    document = {EVIL: [EVIL, "\x00"]}
    shown = escape_json(json.dumps(document, ensure_ascii=False))
    assert STEERING.search(shown) is None
    assert json.loads(shown) == document


def test_errors_keep_each_part_in_its_place() -> None:
    error = RnnkitError("a\nerror: b", "first\nsecond\x1b", hint="c\nd")
    assert str(error) == "a\\nerror: b\n  first\n  second\\x1b\n  hint: c\\nd"
    assert error.what == "a\nerror: b"
