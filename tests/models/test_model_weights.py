"""Weights on disk: tied matrices are stored once, equal weights give equal bytes, damage is detected."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.raising import raises
from torch import nn

from rnnkit.errors import DataError, FormatError
from rnnkit.models import model_weights


class Tied(nn.Module):
    """Two names for one matrix, and a bias."""

    def __init__(self, rows: int = 5) -> None:
        super().__init__()
        self.table = nn.Embedding(rows, 3)
        self.output = nn.Parameter(torch.zeros(rows))
        self.output_weight = self.table.weight


def test_a_tied_matrix_is_stored_once_and_stays_tied(tmp_path: Path) -> None:
    path, module = tmp_path / "w.safetensors", Tied()
    assert sorted(model_weights.unique_tensors(module)) == ["output", "output_weight"]
    model_weights.save(path, model_weights.unique_tensors(module), {"step": 7})
    tensors, facts = model_weights.load(path)
    assert facts == {"step": 7}
    other = Tied()
    model_weights.copy_into(other, tensors, path)
    assert torch.equal(other.table.weight, module.table.weight)
    assert other.output_weight is other.table.weight


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    module = Tied()
    for name in ("a", "b"):
        model_weights.save(tmp_path / name, model_weights.unique_tensors(module), {"step": 7, "bleu": 1.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with raises(FormatError, path, path=path):
            model_weights.load(path)


def test_any_flipped_byte_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    content = path.read_bytes()
    for position in range(len(content) - 4 * (15 + 5), len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with raises(FormatError, "SHA-256", path=path):
            model_weights.load(path)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    tensors, _ = model_weights.load(path)
    with raises(FormatError, "tensor output", "(5,)", "(6,)", path=path):
        model_weights.copy_into(Tied(6), tensors, path)
    with raises(FormatError, "tensor output is missing", path=path):
        model_weights.copy_into(Tied(), {"output_weight": tensors["output_weight"]}, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with raises(DataError, tmp_path / "none", path=tmp_path / "none"):
        model_weights.load(tmp_path / "none")


def test_average_is_the_mean() -> None:
    many = [{"w": torch.full((2,), value)} for value in (1.0, 2.0, 6.0)]
    assert model_weights.average_weights(many)["w"].tolist() == [3.0, 3.0]
