"""Attention maps as JSON and as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.events import Event, WarningEvent
from rnnkit.reports.attention_map import AttentionMap, open_attention_maps, plot_attention_map

WEIGHTS: list[list[float]] = [[0.9, 0.05, 0.05], [0.12346, 0.8, 0.1], [0, 0, 1], [0, 0, 1]]
ONE = AttentionMap(1, ["das", "$Haus_{1}$"], ["the", "house", "^2"], WEIGHTS)


def test_a_list_of_maps_is_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with open_attention_maps(path) as album:
        album.add(ONE)
        album.add(AttentionMap(3, [], [], [[1.0]]))
    first, second = json.loads(path.read_text(encoding="utf-8"))
    assert first["line"] == 1
    assert first["source"] == ["das", "$Haus_{1}$", "</s>"]
    assert first["target"] == ["the", "house", "^2", "</s>"]
    assert first["attention"][1] == [0.1235, 0.8, 0.1]
    assert second == {"line": 3, "source": ["</s>"], "target": ["</s>"], "attention": [[1.0]]}


def test_no_maps_are_an_empty_list_and_a_failure_leaves_no_file(tmp_path: Path) -> None:
    with open_attention_maps(tmp_path / "a.json"):
        pass
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == []
    with pytest.raises(KeyboardInterrupt), open_attention_maps(tmp_path / "b.json") as album:
        album.add(ONE)
        raise KeyboardInterrupt
    assert not (tmp_path / "b.json").exists()


def test_pictures_are_named_by_line(tmp_path: Path) -> None:
    with open_attention_maps(tmp_path / "a.png") as album:
        album.add(ONE)
        album.add(AttentionMap(2, ["x"], ["y"], [[0.5, 0.5], [0.5, 0.5]]))
        album.add(AttentionMap(51, ["x"], ["y"], [[0.5, 0.5], [0.5, 0.5]]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.png", "a.png"]
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "a.png").stat().st_size > (tmp_path / "a-2.png").stat().st_size


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with raises(DataError, "svg", path=tmp_path / "a.doc"):
        plot_attention_map(ONE, tmp_path / "a.doc")


def test_labels_have_no_marks_of_tokenizers_and_svg_keeps_text(tmp_path: Path) -> None:
    shown = AttentionMap(7, ["\u2581Haus", "\uffed,"], ["\u2581"], [[0.9, 0.05, 0.05], [0, 0, 1]])
    plot_attention_map(shown, tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert all(f">{text}</text>" in drawn for text in ("Haus", ",", "\u2423", "&lt;/s&gt;", "Attention, line 7"))
    assert "attention weight" in drawn
    assert not {"\u2581", "\uffed"} & set(drawn)


def test_characters_without_a_glyph_are_reported_once(tmp_path: Path) -> None:
    heard: list[Event] = []
    with open_attention_maps(tmp_path / "a.png", heard.append) as writer:
        for line in (1, 2):
            writer.add(AttentionMap(line, ["\U000f0000"], [], [[1.0, 0.0]]))
    assert [type(event) for event in heard] == [WarningEvent]
