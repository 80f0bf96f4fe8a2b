"""Options: declared once, merged from four sources, written down and read back."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from rnnkit.errors import ConfigError, UsageError
from rnnkit.options import declare, record
from rnnkit.options.declare import argument, option


@dataclass(frozen=True)
class Options:
    """Options of a test."""

    source: Path = argument(help="Must be given.")
    names: list[str] = option(("a", "b"), help="Several.")
    ratio: float | None = option(None, help="A number or nothing.", minimum=0)
    lambda_: int = option(1, help="A name that Python keeps.")
    deep: bool = option(False, help="Yes or no.")


def resolve(given: dict[str, object], environment: dict[str, str] | None = None, file: Path | None = None) -> Options:
    return declare.resolve(Options, "test", {"source": "x", **given}, environment or {}, file)


def test_lists_are_never_shared() -> None:
    first, second = resolve({}), resolve({})
    first.names.append("c")
    assert second.names == ["a", "b"]


def test_missing_argument_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="SOURCE is missing"):
        declare.resolve(Options, "test", {}, {})


def test_argument_may_come_from_the_file_and_not_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[test]\nsource = "from file"\n')
    assert declare.resolve(Options, "test", {}, {"RNNKIT_SOURCE": "y"}, file).source == Path("from file")


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False), ("no", False)]
)
def test_booleans_in_the_environment(text: str, value: bool) -> None:
    assert resolve({}, {"RNNKIT_DEEP": text}).deep is value


def test_lists_in_the_environment_are_separated_as_in_path() -> None:
    assert resolve({}, {"RNNKIT_NAMES": os.pathsep.join(["x", "y z"])}).names == ["x", "y z"]


def test_trailing_underscore_is_python_s_alone(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[test]\nlambda = 3\n")
    assert resolve({}, file=file).lambda_ == 3
    assert resolve({}, {"RNNKIT_LAMBDA": "4"}, file).lambda_ == 4
    assert record.as_dict(resolve({}))["lambda"] == 1


@pytest.mark.parametrize(
    ("given", "environment", "error", "message"),
    [
        ({"ratio": "much"}, {}, UsageError, "--ratio wants a number, not 'much'"),
        ({"ratio": "-1"}, {}, UsageError, "--ratio must be at least 0, not -1.0"),
        ({"lambda_": "1.5"}, {}, UsageError, "--lambda wants a whole number, not '1.5'"),
        ({}, {"RNNKIT_DEEP": "perhaps"}, ConfigError, "RNNKIT_DEEP wants true or false, not 'perhaps'"),
        ({}, {"RNNKIT_RATIO": "much"}, ConfigError, "RNNKIT_RATIO wants a number, not 'much'"),
    ],
)
def test_values_that_do_not_fit(
    given: dict[str, object], environment: dict[str, str], error: type[ConfigError], message: str
) -> None:
    with pytest.raises(error) as caught:
        resolve(given, environment)
    assert str(caught.value) == message
    assert caught.value.exit_code == (2 if error is UsageError else 1)


def test_keys_may_be_written_with_either_line(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Long:
        """Options of a test."""

        max_length: int = option(1, help="A length.")

    for key in ("max_length", "max-length"):
        (file := tmp_path / "c.toml").write_text(f"[test]\n{key} = 7\n")
        assert declare.resolve(Long, "test", {}, {}, file).max_length == 7


@pytest.mark.parametrize("text", ['plain "quoted" \\ back', "line\nend\ttab\x7f\x01", "日本語 é", ""])
def test_toml_reads_back(text: str) -> None:
    written = record.to_toml("test", resolve({"names": [text], "ratio": "1e-7", "deep": True}))
    table = tomllib.loads(written)["test"]
    assert table == {"source": "x", "names": [text], "ratio": 1e-7, "lambda": 1, "deep": True}


def test_unset_options_are_comments() -> None:
    assert "\n# ratio is not set\n" in record.to_toml("test", resolve({}))


def test_spelling() -> None:
    assert [declare.spelling(field) for field in fields(Options)] == [
        "SOURCE",
        "--names",
        "--ratio",
        "--lambda",
        "--deep",
    ]


def test_did_you_mean_only_what_is_close() -> None:
    assert declare.did_you_mean("tokenise", ["tokenize", "train"]) == "did you mean 'tokenize'?"
    assert declare.did_you_mean("xyz", ["tokenize", "train"]) is None
