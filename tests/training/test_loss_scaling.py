"""The scale of the loss: how it falls and grows, and that it can be taken up again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.training import loss_scaling
from rnnkit.training.loss_scaling import LossScaler


def test_it_starts_as_in_its_paper_and_halves_at_an_overflow() -> None:
    scale = LossScaler()
    assert (scale.value, scale.good) == (2.0**16, 0)
    scale.update(finite=False)
    scale.update(finite=False)
    assert (scale.value, scale.good) == (2.0**14, 0)


def test_it_doubles_after_so_many_good_gradients_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scaling, "GROWTH_INTERVAL", 3)
    scale, seen = LossScaler(), []
    for finite in (True, True, False, True, True, True, True):
        scale.update(finite)
        seen.append((scale.value / 2**16, scale.good))
    assert seen == [(1, 1), (1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1, 0), (1, 1)]


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_a_scale_taken_up_goes_on_as_if_never_left(gradients: list[bool], cut: int) -> None:
    whole, first, second = LossScaler(), LossScaler(), LossScaler(3.0, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_scaling, "GROWTH_INTERVAL", 4)
        for finite in gradients:
            whole.update(finite)
        for finite in gradients[:cut]:
            first.update(finite)
        second.load_state_dict(first.state_dict())
        for finite in gradients[cut:]:
            second.update(finite)
    assert second == whole
