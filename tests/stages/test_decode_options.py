"""Which options of `decode` suit which kind of model, and which can be combined."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import FormatError, UsageError
from rnnkit.stages.inference.decode_checks import check, check_attention
from rnnkit.stages.inference.decode_options import DecodeOptions

TRANSLATION, LANGUAGE_MODEL, CLOZE = "sequence-to-sequence", "language-model", "cloze"


def check_refused(option: str | None, task: str, *values: object, **changes: Any) -> None:
    with raises(UsageError, *values, option=option) as raised:
        check(DecodeOptions(**{"model": [Path("m")], **changes}), task)
    assert raised.value.option == option


def test_language_model_options_need_a_language_model() -> None:
    check_refused("--prompt", TRANSLATION, "m is a translation model", prompt=False)
    check_refused("--prompt", CLOZE, "m is a masked language model", fill=True, prompt=False)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fusion": ["lm:0.1"]}, "--fusion"),
        ({"prefix_file": Path("p")}, "--prefix-file"),
        ({"constraints": Path("c")}, "--constraints"),
        ({"coverage_penalty": 0.2}, "--coverage-penalty"),
        ({"replace_unknown": True, "attention": Path("a.png")}, "--replace-unknown and --attention"),
        ({"alignments": Path("a")}, "--alignments"),
        ({"lexicon": Path("l"), "replace_unknown": True}, "--lexicon and --replace-unknown"),
    ],
)
def test_translation_options_need_a_translation_model(changes: dict[str, Any], named: str) -> None:
    option = named.split()[0]
    check_refused(option, LANGUAGE_MODEL, named, "m is a language model", **changes)
    check_refused(option, CLOZE, named, "m is a masked language model", fill=True, **changes)
    check(DecodeOptions(**changes), TRANSLATION)


def test_ensembles_need_translation_models() -> None:
    check_refused("--model", LANGUAGE_MODEL, "a is a language model", model=[Path("a"), Path("b")])
    check(DecodeOptions(model=[Path("a"), Path("b")]), TRANSLATION)


@pytest.mark.parametrize(("changes", "named"), [({"fill": True}, "--fill"), ({"gap": "?"}, "--gap")])
def test_infilling_options_need_a_masked_language_model(changes: dict[str, Any], named: str) -> None:
    check_refused(named, TRANSLATION, "m is a translation model", **changes)
    check_refused(named, LANGUAGE_MODEL, "m is a language model", **changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"beam": 5}, "--beam"),
        ({"length_penalty": 0.5}, "--length-penalty"),
        ({"max_length": 9}, "--max-length"),
        ({"exhaustive": True}, "--exhaustive"),
        ({"sample": True}, "--sample"),
        ({"top_p": 0.5, "temperature": 1.0}, "--temperature and --top-p"),
        ({"min_length": 3, "no_repeat_ngram": 2}, "--min-length and --no-repeat-ngram"),
        ({"groups": 2}, "--groups"),
    ],
)
def test_masked_language_models_refuse_search_options(changes: dict[str, Any], named: str) -> None:
    check_refused(named.split()[0], CLOZE, named, "m is a masked language model", fill=True, **changes)


def test_a_masked_language_model_needs_fill() -> None:
    check_refused("--fill", CLOZE, "m is a masked language model", "hint: add --fill")
    with raises(UsageError, "--gap 'a b'"):
        check(DecodeOptions(model=[Path("m")], fill=True, gap="a b"), CLOZE)
    check(DecodeOptions(fill=True, nbest=50, allow_unknown=True, json=True), CLOZE)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_out_of_range(value: float) -> None:
    check_refused("--temperature", LANGUAGE_MODEL, f"got {value}", temperature=value)


@pytest.mark.parametrize("value", [0, -3])
def test_top_k_out_of_range(value: int) -> None:
    check_refused("--top-k", LANGUAGE_MODEL, f"got {value}", top_k=value)


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0001, math.nan])
def test_top_p_out_of_range(value: float) -> None:
    check_refused("--top-p", LANGUAGE_MODEL, f"got {value}", top_p=value)


def test_search_and_sampling_exclude_each_other() -> None:
    sampled = ["--temperature and --top-k", "hint: leave out one of them; --nbest 4"]
    check_refused("--beam", LANGUAGE_MODEL, "--beam 4", *sampled, beam=4, temperature=0.7, top_k=9)
    check_refused("--exhaustive", LANGUAGE_MODEL, "--sample", exhaustive=True, sample=True)
    check(DecodeOptions(beam=1, sample=True, nbest=7), LANGUAGE_MODEL)


@pytest.mark.parametrize("task", [TRANSLATION, LANGUAGE_MODEL])
def test_groups_divide_the_beam(task: str) -> None:
    check_refused("--groups", task, "--beam (5)", "--groups (2)", "hint: use --beam 4", beam=5, groups=2)
    check_refused("--groups", task, "hint: use --beam 7", groups=7, beam=3)
    check_refused("--exhaustive", task, "--groups", beam=4, groups=2, exhaustive=True)
    check_refused("--diversity", task, "--sample", sample=True, diversity=0.5, beam=1)
    check(DecodeOptions(beam=6, groups=3, diversity=0.3), task)


def test_incompatible_options() -> None:
    output = Path("o")
    check_refused("--constraints", TRANSLATION, "--groups", constraints=Path("c"), diversity=0.5)
    check_refused("--min-length", TRANSLATION, "(5)", "--max-length (4)", min_length=5, max_length=4)
    check_refused("--length-penalty", TRANSLATION, "inf", length_penalty=math.inf)
    check_refused("--resume", TRANSLATION, "--output", resume=True)
    check_refused("--resume", TRANSLATION, "--overwrite", resume=True, output=output, overwrite=True)
    check_refused("--resume", TRANSLATION, "--attention", resume=True, output=output, attention=Path("a.json"))
    check_refused("--attention", TRANSLATION, "a.txt", attention=Path("a.txt"))
    check_refused(None, TRANSLATION, "standard input", prefix_file=Path("-"))
    check_refused("--lexicon", TRANSLATION, "--lexicon l", "--replace-unknown", lexicon=Path("l"))
    check_refused(None, TRANSLATION, "standard input", lexicon=Path("-"), replace_unknown=True)


def test_attention_options_need_attention() -> None:
    options = DecodeOptions(model=[Path("m")], coverage_penalty=0.2, alignments=Path("a"))
    with raises(UsageError, "--coverage-penalty and --alignments", path="m", option="--coverage-penalty"):
        check_attention(options, has_attention=False)
    check_attention(options, has_attention=True)
    check_attention(DecodeOptions(), has_attention=False)


def test_nbest_is_limited_by_the_beam() -> None:
    check_refused("--nbest", LANGUAGE_MODEL, "(3)", "--beam (1)", "use --beam 3, or --sample", nbest=3)
    check_refused("--nbest", TRANSLATION, "(6)", "--beam (5)", nbest=6)
    for task in (TRANSLATION, LANGUAGE_MODEL):
        check(DecodeOptions(nbest=3, beam=3), task)
        check(DecodeOptions(nbest=9, exhaustive=True), task)


def test_unknown_kinds_of_models_are_refused() -> None:
    with raises(FormatError, "'juggling'", path="m"):
        check(DecodeOptions(model=[Path("m")]), "juggling")
