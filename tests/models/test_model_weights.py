"""Weights on disk: tied matrices once, equal weights equal bytes, damage recognised."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
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


def test_a_shared_matrix_is_stored_once_and_comes_back_shared(tmp_path: Path) -> None:
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


def test_cut_at_any_length_it_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FormatError, match=r"w\.safetensors is damaged"):
            model_weights.load(path)


def test_any_flipped_byte_of_the_tensors_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    content = path.read_bytes()
    for place in range(len(content) - 4 * (15 + 5), len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(FormatError, match="SHA-256"):
            model_weights.load(path)


def test_weights_of_another_shape_are_refused_by_tensor(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model_weights.save(path, model_weights.unique_tensors(Tied()), {})
    tensors, _ = model_weights.load(path)
    with pytest.raises(FormatError, match=r"tensor output is \(5,\), config.json says \(6,\)"):
        model_weights.copy_into(Tied(6), tensors, path)
    with pytest.raises(FormatError, match="tensor output: it is missing"):
        model_weights.copy_into(Tied(), {"output_weight": tensors["output_weight"]}, path)


def test_no_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no weights at"):
        model_weights.load(tmp_path / "none")


def test_the_average_is_the_mean() -> None:
    many = [{"w": torch.full((2,), value)} for value in (1.0, 2.0, 6.0)]
    assert model_weights.average_weights(many)["w"].tolist() == [3.0, 3.0]
