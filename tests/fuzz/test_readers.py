"""Hostile files: every reader raises an error of rnnkit, in bounded memory, and touches no other directory."""

from __future__ import annotations

import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import loop
from tests.fuzz.mutation import mutate
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.trial import find_fault, find_faults, kept, prepare, unpacked_size

EXAMPLES = 40
BY_NAME = {reader.name: reader for reader in READERS}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whole_files_are_read(reader: Reader) -> None:
    samples = list(reader.samples())
    assert samples
    if reader.name == "inspect":
        return  # which also knows what it does not know
    with TemporaryDirectory() as name:
        folder = prepare(reader, Path(name))
        for sample in samples:
            (folder / reader.file).write_bytes(sample)
            reader.read(folder / reader.file)


@pytest.mark.parametrize("reader", [reader for reader in READERS if not reader.foreign], ids=lambda reader: reader.name)
def test_changed_files_are_read_or_refused(reader: Reader, tmp_path: Path) -> None:
    samples, folder = list(reader.samples()), prepare(reader, tmp_path)

    @settings(max_examples=EXAMPLES)
    @given(sample=st.sampled_from(samples), seed=st.integers(0, 1 << 32))
    def hold(sample: bytes, seed: int) -> None:
        fault = find_fault(reader, mutate(sample, random.Random(seed)), folder)
        assert fault is None, fault

    hold()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_arbitrary_files_are_read_or_refused(reader: Reader, tmp_path: Path) -> None:
    folder = prepare(reader, tmp_path)

    @settings(max_examples=EXAMPLES // 2)
    @given(content=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda text: text.encode("utf-8"))))
    def hold(content: bytes) -> None:
        fault = find_fault(reader, content, folder)
        assert fault is None, fault

    hold()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="what is written in C++ may end the process")
@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.foreign], ids=lambda reader: reader.name)
def test_what_is_not_python_does_not_break_down(reader: Reader) -> None:
    dice, samples = random.Random(1), list(reader.samples())
    contents = [mutate(dice.choice(samples), dice) for _ in range(4 * EXAMPLES)]
    assert list(find_faults(reader, contents)) == []


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_was_found_stays_mended(reader: Reader) -> None:
    assert list(find_faults(reader, [path.read_bytes() for path in kept(reader)])) == []


def _greedy(path: Path) -> None:
    content = path.read_bytes()
    if content == b"break":
        raise ZeroDivisionError
    if content == b"grow":
        bytearray(200_000_000)
    if content == b"abort":
        os.abort()


def test_the_harness_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("greedy", "file", _greedy, lambda: [b"fine", b"break"], foreign=True)
    found = list(find_faults(reader, [b"fine", b"break", b"abort", b"grow", b"fine"]))
    assert [content for content, _ in found] == [b"break", b"abort", b"grow"]
    assert "ZeroDivisionError" in found[0][1]
    assert found[1][1].startswith("it brought the process down: -")
    assert found[2][1].startswith("200,0")
    assert unpacked_size(b"\x1f\x8bno") == 4
    monkeypatch.setattr("tests.fuzz.trial.CORPUS", tmp_path)
    monkeypatch.setattr(loop, "mutate", lambda sample, dice: sample)
    outcome = loop.fuzz_plainly(reader, seconds=0.01, seed=1)
    assert outcome.found == 1
    assert [path.read_bytes() for path in kept(reader)] == [b"break"]
