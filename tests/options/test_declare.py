"""Options: declared once, checked, named, recorded and read back."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import UsageError
from rnnkit.options import declare
from rnnkit.options.declare import argument, check, option, parameters_of
from rnnkit.options.record import as_dict, to_argv, to_toml


@dataclass(frozen=True)
class Options:
    """Options of a test."""

    source: Path = argument(help="Must be given.")
    names: list[str] = option(("a", "b"), help="Several.")
    ratio: float | None = option(None, help="A number or nothing.", minimum=0, maximum=1)
    lambda_: int = option(1, help="A name that Python keeps.")
    deep: bool = option(False, help="Yes or no.", variable="TEST_DEEP")
    arch: str = option("gru", help="One of two.", choices=("gru", "lstm"))


def test_lists_are_never_shared() -> None:
    first, second = Options(Path("x")), Options(Path("x"))
    first.names.append("c")
    assert second.names == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "flag", "value"),
    [({"ratio": -1.0}, "--ratio", 0), ({"ratio": 2.0}, "--ratio", 1), ({"arch": "lstn"}, "--arch", "lstm")],
)
def test_check(changes: dict[str, object], flag: str, value: object) -> None:
    check(Options(Path("x")))
    with raises(UsageError, value, option=flag):
        check(Options(Path("x"), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ['plain "quoted" \\ back', "line\nend\ttab\x7f\x01", "日本語 é", ""])
def test_toml_reads_back(text: str) -> None:
    written = to_toml("test", Options(Path("x"), names=[text], ratio=1e-7, deep=True))
    table = tomllib.loads(written)["test"]
    assert table == {"source": "x", "names": [text], "ratio": 1e-7, "lambda": 1, "deep": True, "arch": "gru"}


def test_unset_options_are_comments() -> None:
    assert "\n# ratio is not set\n" in to_toml("test", Options(Path("x")))


def test_names() -> None:
    assert [each.spelling for each in parameters_of(Options)] == [
        "SOURCE", "--names", "--ratio", "--lambda", "--deep", "--arch",
    ]  # fmt: skip
    assert [each.variable for each in parameters_of(Options)] == [
        None, "RNNKIT_NAMES", "RNNKIT_RATIO", "RNNKIT_LAMBDA", "RNNKIT_TEST_DEEP", "RNNKIT_ARCH",
    ]  # fmt: skip
    assert as_dict(Options(Path("x")))["lambda"] == 1


def test_argv() -> None:
    words = to_argv(Options(Path("x"), names=["a b", "-c"], deep=True))
    assert words == ["--names=a b", "--names=-c", "--lambda=1", "--deep", "--arch=gru"]


def test_did_you_mean_only_what_is_close() -> None:
    assert declare.did_you_mean("tokenise", ["tokenize", "train"]) == "did you mean 'tokenize'?"
    assert declare.did_you_mean("xyz", ["tokenize", "train"]) is None
