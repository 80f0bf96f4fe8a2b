"""Which options go with which model, and the words of every refusal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from rnnkit.errors import FormatError, UsageError
from rnnkit.stages.inference.decode.options import DecodeOptions, check, check_attention

TRANSLATION, LANGUAGE_MODEL, CLOZE = "sequence-to-sequence", "language-model", "cloze"


def refusal(task: str, **changes: Any) -> str:
    with pytest.raises(UsageError) as caught:
        check(DecodeOptions(**{"model": [Path("m")], **changes}), task)
    return str(caught.value)


def test_the_option_of_language_models_is_refused_by_others() -> None:
    assert refusal(TRANSLATION, prompt=False) == "--prompt: for language models, and m translates"
    assert refusal(CLOZE, fill=True, prompt=False) == "--prompt: for language models, and m is a cloze model"


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
def test_options_of_translation_are_refused_by_others(changes: dict[str, Any], named: str) -> None:
    wanted = f"{named}: for models that translate, and m is a language model"
    assert refusal(LANGUAGE_MODEL, **changes) == wanted
    assert refusal(CLOZE, fill=True, **changes) == f"{named}: for models that translate, and m is a cloze model"
    check(DecodeOptions(**changes), TRANSLATION)


def test_several_models_work_together_only_where_they_translate() -> None:
    wanted = "only models that translate work together\n  a is a language model"
    assert refusal(LANGUAGE_MODEL, model=[Path("a"), Path("b")]) == wanted
    check(DecodeOptions(model=[Path("a"), Path("b")]), TRANSLATION)


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
        ({"sample": True}, "--sample"),
        ({"top_p": 0.5, "temperature": 1.0}, "--temperature and --top-p"),
        ({"min_length": 3, "no_repeat_ngram": 2}, "--min-length and --no-repeat-ngram"),
        ({"groups": 2}, "--groups"),
    ],
)
def test_options_of_search_are_refused_by_cloze_models(changes: dict[str, Any], named: str) -> None:
    wanted = f"{named}: for models that say whole lines, and m is a cloze model"
    assert refusal(CLOZE, fill=True, **changes) == wanted


def test_a_cloze_model_says_what_it_is_for() -> None:
    assert refusal(CLOZE) == "m is a cloze model: it fills gaps\n  hint: add --fill"
    assert refusal(CLOZE, fill=True, gap="a b").startswith("--gap 'a b'")
    check(DecodeOptions(fill=True, nbest=50, allow_unknown=True, json=True), CLOZE)


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
    check(DecodeOptions(beam=1, sample=True, nbest=7), LANGUAGE_MODEL)


@pytest.mark.parametrize("task", [TRANSLATION, LANGUAGE_MODEL])
def test_a_beam_that_cannot_be_shared_out_or_is_asked_for_where_there_is_none(task: str) -> None:
    assert refusal(task, beam=5, groups=2) == (
        "--beam 5 cannot be parted into --groups 2\n  all groups have equally many places\n  hint: --beam 4 can"
    )
    assert refusal(task, groups=7, beam=3).endswith("hint: --beam 7 can")
    assert refusal(task, beam=4, groups=2, exhaustive=True) == (
        "--exhaustive has no beam for --groups\n  hint: leave out one of them"
    )
    assert refusal(task, sample=True, diversity=0.5, beam=1) == (
        "--diversity does not go with --sample\n"
        "  it is about which outputs a beam keeps, and what is drawn is not kept by rank\n"
        "  hint: leave out one of them"
    )
    check(DecodeOptions(beam=6, groups=3, diversity=0.3), task)


def test_contradictions() -> None:
    assert refusal(TRANSLATION, constraints=Path("c"), diversity=0.5) == (
        "--constraints and --groups both say how the beam is shared out\n  hint: leave out one of them"
    )
    assert refusal(TRANSLATION, min_length=5, max_length=4) == "--min-length 5 is more than --max-length 4"
    assert refusal(TRANSLATION, alpha=math.inf) == "--alpha wants a finite number, not inf"
    assert refusal(TRANSLATION, resume=True) == "--resume goes on with a file\n  hint: name it with --output"
    assert refusal(TRANSLATION, resume=True, output=Path("o"), overwrite=True) == (
        "--resume and --overwrite exclude each other"
    )
    assert refusal(TRANSLATION, resume=True, output=Path("o"), attention=Path("a.json")).startswith(
        "--resume does not go with --attention\n"
    )
    assert refusal(TRANSLATION, attention=Path("a.txt")).startswith("--attention a.txt is neither .json nor a picture")
    assert refusal(TRANSLATION, prefix_file=Path("-")).startswith("standard input is asked for twice\n")
    assert refusal(TRANSLATION, lexicon=Path("l")) == (
        "--lexicon l needs --replace-unknown\n  it translates what unknown words are replaced by"
    )
    twice = refusal(TRANSLATION, lexicon=Path("-"), replace_unknown=True)
    assert twice.startswith("standard input is asked for twice\n")


def test_what_wants_attention_is_refused_by_a_model_without() -> None:
    options = DecodeOptions(model=[Path("m")], coverage_penalty=0.2, alignments=Path("a"))
    with pytest.raises(UsageError, match="--coverage-penalty and --alignments want attention, and m has none"):
        check_attention(options, attends=False)
    check_attention(options, attends=True)
    check_attention(DecodeOptions(), attends=False)


def test_more_outputs_than_are_kept() -> None:
    assert refusal(LANGUAGE_MODEL, nbest=3) == (
        "--nbest 3 is more than --beam 1 keeps\n  hint: --beam 3 keeps so many, --sample draws so many"
    )
    assert refusal(TRANSLATION, nbest=6).startswith("--nbest 6 is more than --beam 5 keeps\n")
    for task in (TRANSLATION, LANGUAGE_MODEL):
        check(DecodeOptions(nbest=3, beam=3), task)
        check(DecodeOptions(nbest=9, exhaustive=True), task)


def test_a_model_for_what_nobody_knows_is_refused() -> None:
    with pytest.raises(FormatError, match="m is for 'juggling', which this rnnkit knows nothing of"):
        check(DecodeOptions(model=[Path("m")]), "juggling")
