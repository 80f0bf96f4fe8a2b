"""What a validation measures, and how it chooses among weights."""

from __future__ import annotations

import pytest

from rnnkit.evaluation.translation import choose_measure, score_lines

SENTENCES = ["A man in a hat .", "Two dogs run over a field ."]
WORDS_of_translation = ["Häuser", "aufgegangen sein"]
CHINESE = ["我们在这里等你。", "他昨天没有来。"]


@pytest.mark.parametrize(
    ("references", "expected"), [(SENTENCES, "bleu"), (WORDS_of_translation, "chrf"), (CHINESE, "chrf"), (["a b c d"], "bleu")]
)
def test_short_outputs_are_not_measured_by_bleu(references: list[str], expected: str) -> None:
    assert choose_measure("auto", references) == expected
    assert choose_measure("accuracy", references) == "accuracy"


def test_bleu_says_nothing_of_words() -> None:
    assert score_lines("bleu", WORDS_of_translation, WORDS) == 0
    assert score_lines("chrf", WORDS_of_translation, WORDS) == pytest.approx(100)


@pytest.mark.parametrize("measure", ["bleu", "chrf", "accuracy"])
def test_right_lines_have_the_full_score(measure: str) -> None:
    assert score_lines(measure, SENTENCES, SENTENCES) == pytest.approx(100)
    assert score_lines(measure, ["", ""], SENTENCES) == pytest.approx(0)


def test_accuracy_is_a_share_of_lines() -> None:
    assert score_lines("accuracy", ["a", "b", "c"], ["a", "B", "c"]) == pytest.approx(200 / 3)
