"""The model card shows names as they are: they cannot become markup, cells, lines or another command."""

from __future__ import annotations

import dataclasses
import re

from rnnkit.reports.model_card import ModelCard, format_duration, render

HOSTILE = "de|<script>alert(1)</script>\n# title\x1b]0;x\x07 `x` [a](http://b) $x$ \u202e; rm -rf ~"

CARD = ModelCard(
    title="lstm de-en",
    languages=("de", "en"),
    parameters=1234,
    network={"arch": "lstm", "layer_norm": True, "heads": None},
    options={"hidden": 5, "layer-norm": "auto", "embeddings": None},
    data={"splits": {"train": {"sentences": 1000, "tokens": {"de": 5000, "en": 6000}}}},
    inputs={"data": "ab" * 32},
    scores={"loss": 1.23456, "step": 3},
    steps=(4, 3),
    seconds=90,
)


def test_what_it_says() -> None:
    lines = render(CARD).splitlines()
    assert "# lstm de-en" in lines
    assert "| loss | 1.235 |" in lines
    assert "| train | 1,000 | de 5,000, en 6,000 |" in lines
    assert "| layer-norm | True |" in lines[lines.index("## Network") : lines.index("## Options")]
    assert "| layer-norm | auto |" in lines[lines.index("## Options") :]
    assert f"| data | {'ab' * 32} |" in lines
    assert "rnnkit decode --model DIR < text.de" in lines


def test_short_runs_are_timed_in_seconds() -> None:
    assert [format_duration(seconds) for seconds in (3.6, 90, 6000)] == ["4 seconds", "1.5 minutes", "100.0 minutes"]


def test_names_stay_names() -> None:
    plain = render(CARD).splitlines()
    hostile = dataclasses.replace(
        CARD,
        title=f"lstm {HOSTILE}",
        languages=(HOSTILE, "en"),
        options={"hidden": 5, "layer-norm": HOSTILE},
        data={"splits": {HOSTILE: {"sentences": 1000, "tokens": {HOSTILE: 5000}}}},
        inputs={HOSTILE: "ab" * 32},
    )
    text = render(hostile)
    assert len(text.splitlines()) == len(plain)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    outside = "\n".join(line for line in text.splitlines() if not line.startswith(("rnnkit ", "language: ")))
    assert not re.search(
        r"(?<!\\)[<`\[$]", outside.replace("`best.safetensors`", "").replace("```", "").replace("tags: [", "")
    )
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4)
    (command,) = (line for line in text.splitlines() if line.startswith("rnnkit decode"))
    assert command.startswith("rnnkit decode --model DIR < 'text.de|")
    assert command.endswith("rm -rf ~'")
