"""Two words made one: probabilities add up, and what cannot be made one is refused."""

from __future__ import annotations

import numpy as np
import pytest

from rnnkit.errors import DataError
from rnnkit.ngrams.merging import merge
from rnnkit.text.special_tokens import UNK

from .samples import make_model, random_lines


@pytest.mark.parametrize("pair", [(5, UNK), (UNK, 5), (8, 5), (5, 8)])
def test_probabilities_add_up_in_every_state(pair: tuple[int, int]) -> None:
    model = make_model(random_lines(size=8), order=3)  # 8 never occurs, nor does an unknown word
    merged, absent = merge(model, *pair)
    present = 5
    assert absent in pair and absent != present
    for state in range(len(model.backoff_I)):
        before, after = np.exp(model.log_probabilities(state)), np.exp(merged.log_probabilities(state))
        assert after[present] == pytest.approx(before[present] + before[absent], rel=1e-5)
        assert after[absent] == 0
        assert np.delete(after, [present, absent]) == pytest.approx(np.delete(before, [present, absent]))


def test_of_two_words_without_ngrams_one_is_left() -> None:
    model = make_model(random_lines(size=8), order=2)
    merged, absent = merge(model, 8, UNK)
    assert absent == 8
    before, after = np.exp(model.log_probabilities(0)), np.exp(merged.log_probabilities(0))
    assert after[UNK] == pytest.approx(2 * before[UNK]) and after[8] == 0


def test_two_words_with_ngrams_cannot_be_made_one() -> None:
    with pytest.raises(DataError) as caught:
        merge(make_model(order=2), 4, 5)
    assert str(caught.value) == (
        "rows 4 and 5 of the vocabulary cannot be made one: both have n-grams\n"
        "  hint: make them one in the text, and train again"
    )


def test_the_model_itself_stays_as_it_is() -> None:
    model = make_model(order=2)
    before = model.log10_A.copy()
    merge(model, 4, UNK)
    assert np.array_equal(model.log10_A, before)
