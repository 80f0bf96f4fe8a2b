"""`metrics.jsonl`: reading what was appended, damage, and truncation by a resumed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.raising import raises

from rnnkit.errors import FormatError
from rnnkit.training import metrics


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / metrics.METRICS_FILE
    records: list[dict[str, Any]] = [{"step": 5, "loss": 1.5}, {"step": 10, "validation": {"bleu": 3.0}}]
    for record in records:
        metrics.append(path, record)
    assert list(metrics.read(path)) == records


def test_a_truncated_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / metrics.METRICS_FILE
    path.write_text('{"step": 5}\n{"step": 1')
    assert list(metrics.read(path)) == [{"step": 5}]


def test_damage_further_up_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / metrics.METRICS_FILE
    path.write_text('{"step": 5}\nnonsense\n{"step": 7}\n')
    with raises(FormatError, path=path, line=2):
        list(metrics.read(path))


def test_records_after_a_step_are_removed(tmp_path: Path) -> None:
    path = tmp_path / metrics.METRICS_FILE
    metrics.truncate_after(path, 5)
    assert not path.exists()
    path.write_text('{"step": 5}\n{"step": 10}\n{"step": 15}\n{"st')
    metrics.truncate_after(path, 10)
    assert path.read_text() == '{"step": 5}\n{"step": 10}\n'
