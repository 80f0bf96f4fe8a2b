"""Which options go with which model, and the words of every refusal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from rnnkit.errors import FormatError, UsageError
from rnnkit.stages.decode_options import Options, check

TRANSLATION, LANGUAGE_MODEL, CLOZE = "sequence-to-sequence", "language-model", "cloze"


def refusal(task: str, **changes: Any) -> str:
    with pytest.raises(UsageError) as caught:
        check(Options(model=Path("m"), **changes), task)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sample": True}, "--sample"),
        ({"temperature": 0.5}, "--temperature"),
        ({"top_k": 5}, "--top-k"),
        ({"top_p": 0.5}, "--top-p"),
        ({"prompt": False}, "--prompt"),
        ({"top_p": 0.5, "temperature": 1.0}, "--temperature and --top-p"),
    ],
)
def test_options_of_language_models_are_refused_by_others(changes: dict[str, Any], named: str) -> None:
    assert refusal(TRANSLATION, **changes) == f"{named}: for language models, and m translates"
    assert refusal(CLOZE, fill=True, **changes) == f"{named}: for language models, and m is a cloze model"


@pytest.mark.parametrize(("changes", "named"), [({"fill": True}, "--fill"), ({"gap": "?"}, "--gap")])
def test_options_of_cloze_models_are_refused_by_others(changes: dict[str, Any], named: str) -> None:
    assert refusal(TRANSLATION, **changes) == f"{named}: for cloze models, and m translates"
    assert refusal(LANGUAGE_MODEL, **changes) == f"{named}: for cloze models, and m is a language model"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"beam": 5}, "--beam"),
        ({"alpha": 0.5}, "--alpha"),
        ({"max_length": 9}, "--max-length"),
        ({"exhaustive": True}, "--exhaustive"),
    ],
)
def test_options_of_search_are_refused_by_cloze_models(changes: dict[str, Any], named: str) -> None:
    wanted = f"{named}: for models that say whole lines, and m is a cloze model"
    assert refusal(CLOZE, fill=True, **changes) == wanted


def test_a_cloze_model_says_what_it_is_for() -> None:
    assert refusal(CLOZE) == "m is a cloze model: it fills gaps\n  hint: add --fill"
    assert refusal(CLOZE, fill=True, gap="a b").startswith("--gap 'a b' cannot stand in a line\n")
    check(Options(fill=True, nbest=50, allow_unknown=True, json=True), CLOZE)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_out_of_range(value: float) -> None:
    assert refusal(LANGUAGE_MODEL, temperature=value) == (
        f"--temperature must be above 0, not {value}\n"
        "  probabilities are taken to the power 1 / temperature\n"
        "  hint: without --temperature and its like, the likeliest token is taken"
    )


@pytest.mark.parametrize("value", [0, -3])
def test_top_k_out_of_range(value: int) -> None:
    wanted = f"--top-k must be at least 1, not {value}\n  it is the number of tokens that are drawn from"
    assert refusal(LANGUAGE_MODEL, top_k=value) == wanted


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0001, math.nan])
def test_top_p_out_of_range(value: float) -> None:
    wanted = f"--top-p must be above 0 and at most 1, not {value}\n  it is the probability of what is drawn from"
    assert refusal(LANGUAGE_MODEL, top_p=value) == wanted


def test_a_beam_and_drawing_exclude_each_other() -> None:
    assert refusal(LANGUAGE_MODEL, beam=4, temperature=0.7, top_k=9) == (
        "--beam 4 does not go with --temperature and --top-k\n"
        "  a beam keeps the likeliest outputs, and what is drawn is seldom among them\n"
        "  hint: leave out one of them; --nbest 4 draws so many"
    )
    assert refusal(LANGUAGE_MODEL, exhaustive=True, sample=True) == (
        "--exhaustive looks at every output, --sample draws a few\n  hint: leave out one of them"
    )
    check(Options(beam=1, sample=True, nbest=7), LANGUAGE_MODEL)


def test_more_outputs_than_are_kept() -> None:
    assert refusal(LANGUAGE_MODEL, nbest=3) == (
        "--nbest 3 is more than --beam 1 keeps\n  hint: --beam 3 keeps so many, --sample draws so many"
    )
    assert refusal(TRANSLATION, nbest=6) == "--nbest 6 is more than --beam 5 keeps"
    for task in (TRANSLATION, LANGUAGE_MODEL):
        check(Options(nbest=3, beam=3), task)
        check(Options(nbest=9, exhaustive=True), task)


def test_a_model_for_what_nobody_knows_is_refused() -> None:
    with pytest.raises(FormatError, match="m is for 'juggling', which this rnnkit knows nothing of"):
        check(Options(model=Path("m")), "juggling")
