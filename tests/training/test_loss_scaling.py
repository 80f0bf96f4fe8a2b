"""Loss scaling: how the scale falls and grows, and that it resumes exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.training import loss_scaling
from rnnkit.training.loss_scaling import LossScaler


def test_the_scale_halves_at_an_overflow() -> None:
    scaler = LossScaler()
    assert (scaler.scale, scaler.finite_steps) == (2.0**16, 0)
    scaler.update(finite=False)
    scaler.update(finite=False)
    assert (scaler.scale, scaler.finite_steps) == (2.0**14, 0)


def test_the_scale_doubles_after_finite_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scaling, "GROWTH_INTERVAL", 3)
    scaler, seen = LossScaler(), []
    for finite in (True, True, False, True, True, True, True):
        scaler.update(finite)
        seen.append((scaler.scale / 2**16, scaler.finite_steps))
    assert seen == [(1, 1), (1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1, 0), (1, 1)]


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_a_restored_scaler_continues_exactly(gradients: list[bool], cut: int) -> None:
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
