"""Checkpoints: complete or absent, and damage named by file; metrics: reading what was appended, damage, truncation."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, FormatError
from rnnkit.io import artifact_output, atomic
from rnnkit.training import checkpoint
from rnnkit.training.checkpoint import TrainingCheckpoint


def example(step: int) -> TrainingCheckpoint:
    return TrainingCheckpoint(
        {"loop": {"step": step}},
        {"weights": {"w": np.full((3, 5), step, dtype=np.float32)}, "random": {"cpu": np.arange(7, dtype=np.uint8)}},
    )


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last", example(4))
    loaded = checkpoint.load(tmp_path / "last")
    assert loaded.counters == {"loop": {"step": 4}}
    assert loaded.arrays.keys() == {"weights", "random"}
    np.testing.assert_array_equal(loaded.arrays["weights"]["w"], example(4).arrays["weights"]["w"])
    assert loaded.arrays["random"]["cpu"].dtype == np.uint8


def test_an_array_with_strides_is_saved_as_it_reads(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[1:]
    checkpoint.save(tmp_path / "last", TrainingCheckpoint({}, {"carried": {"0.0": array}}))
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "last").arrays["carried"]["0.0"], array)


def test_a_crash_between_renames_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "last"
    checkpoint.save(folder, example(1))
    folder.rename(tmp_path / ".last.old")
    artifact_output.recover_directory(folder)
    assert checkpoint.exists(folder)
    assert checkpoint.load(folder).counters["loop"]["step"] == 1


def test_nothing_is_left_of_a_checkpoint_that_is_removed(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last", example(1))
    for name in (".last.partial", ".last.old", "lasting"):
        (tmp_path / name).mkdir()
    checkpoint.remove(tmp_path / "last")
    assert [path.name for path in tmp_path.iterdir()] == ["lasting"]
    checkpoint.remove(tmp_path / "last")


@pytest.mark.parametrize("failing", ["fsync_path", "_exchange_names"])
def test_a_full_disk_leaves_the_old_checkpoint_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    folder = tmp_path / "last"
    checkpoint.save(folder, example(1))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(atomic, failing, full)
        with pytest.raises(ArtefactError) as raised:
            checkpoint.save(folder, example(2))
    assert str(raised.value).startswith("the disk is full: ")
    assert checkpoint.load(folder).counters["loop"]["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.mark.parametrize("name", ["weights.safetensors", "random.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_damage_is_named_by_file(tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "last"
    checkpoint.save(folder, example(1))
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = content[:-3] if damage == "cut" else content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
        path.write_bytes(changed)
    with raises(FormatError, f"{name}: ", "--init-from", path=folder):
        checkpoint.load(folder)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.METRICS_FILE
    records: list[dict[str, Any]] = [{"step": 5, "loss": 1.5}, {"step": 10, "validation": {"bleu": 3.0}}]
    for record in records:
        checkpoint.append_metrics(path, record)
    assert list(checkpoint.read_metrics(path)) == records


def test_a_truncated_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.METRICS_FILE
    path.write_text('{"step": 5}\n{"step": 1')
    assert list(checkpoint.read_metrics(path)) == [{"step": 5}]


def test_damage_further_up_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.METRICS_FILE
    path.write_text('{"step": 5}\nnonsense\n{"step": 7}\n')
    with raises(FormatError, path=path, line=2):
        list(checkpoint.read_metrics(path))


def test_records_after_a_step_are_removed(tmp_path: Path) -> None:
    path = tmp_path / checkpoint.METRICS_FILE
    checkpoint.truncate_metrics(path, 5)
    assert not path.exists()
    path.write_text('{"step": 5}\n{"step": 10}\n{"step": 15}\n{"st')
    checkpoint.truncate_metrics(path, 10)
    assert path.read_text() == '{"step": 5}\n{"step": 10}\n'
