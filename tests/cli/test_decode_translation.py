"""Command lines of `decode` and `score` with translation models: outputs that are interrupted, and what is refused."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tiny_models import translator, translator_folder

from .conftest import Run

LINES = ("the king", "", "a dog ran on the mat", "the cat sat", "i am", "very hungry")


@pytest.fixture
def text(tmp_path: Path) -> str:
    """A workspace with a model, and a text."""
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    translator_folder(tmp_path / "work", translator(spread=1.0))
    return "text"


def test_an_output_that_broke_off_is_gone_on_with(run: Run, text: str) -> None:
    words = ("decode", text, "--nbest", "2", "--threads", "1", "--output", "out", "--alignments", "links", "--quiet")
    assert run(*words).code == 0
    wanted = [Path(name).read_text(encoding="utf-8") for name in ("out", "links")]
    for name in ("out", "links"):
        Path(name).unlink()

    Path("p").write_text("the\n\nthe\n", encoding="utf-8")
    broken = run(*words[:-1], "--prefix-file", "p")
    assert broken.code == 1
    assert "error: p has fewer lines than the source\n  it ends with line 3\n" in broken.err
    assert not Path("out").exists()
    left = [path.name for path in Path().glob("out*")]
    assert left == ["out.decode.json"], "nothing was written of a block that was not finished"

    Path("out.partial").write_text(wanted[0][: len(wanted[0]) // 2], encoding="utf-8")
    refused = run(*words)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == (
        "error: an interrupted run left out.partial, a part of out\n"
        "  hint: --resume continues it, --overwrite starts again\n"
    )
    strange = run(*words, "--resume")
    assert strange.code == 1
    assert strange.err == (
        "error: out.partial has no record of how it was made\n"
        "  out.partial.decode.json is missing\n"
        "  hint: use --overwrite to start again\n"
    )
    assert run(*words, "--overwrite").code == 0
    assert [Path(name).read_text(encoding="utf-8") for name in ("out", "links")] == wanted
    finished = run(*words[:-1], "--resume")
    assert (finished.code, finished.err) == (0, "out is complete: all 6 input lines are decoded\n")
    assert [Path(name).read_text(encoding="utf-8") for name in ("out", "links")] == wanted
    taken = run(*words).err
    assert all(value in taken for value in ("error: out ", "--overwrite", "--output", "--work"))


@pytest.mark.parametrize("taken", ["out", "links"])
def test_two_at_once_do_not_mix_their_lines(
    run: Run, text: str, process: Callable[..., subprocess.Popen[str]], taken: str
) -> None:
    words = ("decode", "--threads", "1", "--output", taken, "--quiet")
    first = process(*words, stdin=subprocess.PIPE)  # it has its output, and waits for lines
    deadline = time.monotonic() + 60
    while not Path(f"{taken}.partial.decode.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for more in ((), ("--overwrite",), ("--resume",)):
        second = run("decode", text, "--threads", "1", "--output", "out", "--alignments", "links", *more)
        assert (second.code, second.out) == (1, "")
        assert second.err.startswith(f"error: {taken} is in use\n  process {first.pid} on ")
    first.communicate("the king\n", timeout=60)
    assert first.returncode == 0
    assert len(Path(taken).read_text(encoding="utf-8").splitlines()) == 1
    assert [path.name for path in Path().glob(".*")] == [], "no lock stays behind"


def test_an_interrupt_keeps_whole_lines(run: Run, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnkit.decoding import translate

    detokenize, seen = translate.detokenize_outputs, []

    def interrupted(*words: object) -> translate.TranslatedLine:
        seen.append(words)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return detokenize(*words)  # type: ignore[arg-type]

    words = ("decode", text, "--threads", "1", "--output", "out")
    with monkeypatch.context() as changed:
        changed.setattr(translate, "detokenize_outputs", interrupted)
        stopped = run(*words)
    assert stopped.code == 130
    assert "out.partial has 3 lines; --resume continues from there" in stopped.err
    other = run(*words, "--resume", "--beam", "2", "--length-penalty", "2")
    assert (other.code, other.out) == (1, "")
    assert other.err.endswith(
        "error: out.partial was made with other options\n"
        "  --beam was not given, now 2\n"
        "  --length-penalty was 1.0, now 2.0\n"
        "  hint: give the same inputs to resume it, or --overwrite to start again\n"
    )
    assert run(*words, "--resume", "--quiet").code == 0
    assert Path("out").read_text(encoding="utf-8") == run("decode", text, "--threads", "1", "--quiet").out
    assert sorted(path.name for path in Path().glob("out*")) == ["out", "out.decode.json"]


def test_models_are_named_one_by_one(run: Run, text: str) -> None:
    translator_folder(Path("b"), translator(seed=2, spread=1.0))
    words = ("decode", text, "--threads", "1", "--model", "work/model", "--model", "b/model", "--json")
    together = run(*words)
    assert together.code == 0
    assert together.err.count("best weights, de-en") == 2
    assert [json.loads(line)["line"] for line in together.out.splitlines()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--length-penalty", "-1"], "--length-penalty must be at least 0, not -1\n"),
        (["--length-penalty", "nan"], "--length-penalty must be at least 0, not nan\n"),
        (["--coverage-penalty", "-0.1"], "--coverage-penalty must be at least 0, not -0.1\n"),
        (["--beam", "0"], "--beam must be at least 1, not 0\n"),
        (["--beam", "3", "--top-k", "5"], "--beam 3 cannot be combined with --top-k\n"),
        (["--sample", "--coverage-penalty", "0.2"], "--coverage-penalty cannot be combined with --sample\n"),
        (["--no-repeat-ngram", "-2"], "--no-repeat-ngram must be at least 0, not -2\n"),
        (["--no-prompt"], "--prompt needs language models, and work/model is a translation model\n"),
        (["--resume"], "--resume needs an output file\n"),
        (["--attention", "map"], "--attention map: unknown file type\n"),
    ],
)
def test_invalid_options_are_usage_errors(run: Run, text: str, words: list[str], message: str) -> None:
    outcome = run("decode", text, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}")


def test_a_beam_larger_than_the_vocabulary_has_its_lines(run: Run, text: str) -> None:
    outcome = run("decode", text, "--beam", "60", "--nbest", "60", "--max-length", "3", "--threads", "1", "--quiet")
    assert (outcome.code, outcome.out.count("\n")) == (0, 60 * len(LINES))


def test_a_translation_is_scored(run: Run, text: str) -> None:
    Path("target").write_text(run("decode", text, "--threads", "1", "--quiet").out, encoding="utf-8")
    outcome = run("score", text, "target", "--threads", "1")
    assert (outcome.code, outcome.out.count("\n")) == (0, len(LINES))
    assert "perplexity" in outcome.err
    assert run("score", text, "--threads", "1").err.startswith(
        "error: work/model is a translation model: it scores a target file"
    )
