"""Faults of outputs and inputs: foreign folders, failing inputs, odd files, other models, folders that vanish."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.reliability import stages
from tests.reliability.child import Child, call
from tests.reliability.faults import Bench, Fault, again, compare, complaints, names_of
from tests.reliability.stages import Stage

from rnnkit.errors import RnnkitError
from rnnkit.io import manifest

Tree = dict[str, tuple[int, bytes | str]]

PRECIOUS = (stat.S_IFREG, b"precious")
"""A file of the user, as `tree` has it."""

CHANGED = " has changed"


def foreign(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """`--overwrite` where something else is: a folder or a text of the user, or an artifact of another kind."""
    with bench.trial(stage, kept=True) as folder:
        path = folder / dice.choice(stage.makes)
        what = dice.choice(FOREIGN)
        if not what(path, dice):
            return []
        before = tree(folder)
        ended = call([*stage.words, "--overwrite"], folder)
        if ended.code == 0:  # the output is files beside those of the user
            found = [one for one in changes(folder, before) if before.get(one.removesuffix(CHANGED)) == PRECIOUS]
        else:
            found = complaints(ended, (), names_of(stage)) + changes(folder, before)
        return [f"{what.__name__} at {path.name}: {one}" for one in found]


def failing_input(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """`--overwrite` with an input that is missing, cut or not text: all that was there stays."""
    with bench.trial(stage, kept=True) as folder:
        inputs = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_made(folder, stage, path)]
        path = dice.choice([path for path in inputs if path.stat().st_size])
        content = path.read_bytes()
        half = dice.randrange(len(content))
        path.write_bytes(dice.choice((b"", content[:half], content[:half] + b"\xff\n" + content[half:])))
        if dice.random() < 0.25:
            path.unlink()
        before = tree(folder)
        ended = call([*stage.words, "--overwrite"], folder)
        if ended.code == 0:
            return []  # an input that the command does not need, or can do without
        found = complaints(ended, (), [*names_of(stage), path.name, str(path.parent.relative_to(folder))])
        return [f"{path.relative_to(folder)}: {one}" for one in found + changes(folder, before)]


def odd_output(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """An output that is a device, a FIFO, a link or one of the inputs."""
    kept = dice.random() < 0.5
    with bench.trial(stage, kept) as folder:
        made = dice.choice(stage.makes)
        kind = dice.choice(("link", "input") if (bench.new / made).is_dir() else ("link", "input", "device", "fifo"))
        return [f"{kind} at {made}: {one}" for one in ODD[kind](bench, stage, folder, made, kept)]


def _link(bench: Bench, stage: Stage, folder: Path, made: str, kept: bool) -> list[str]:
    path, target = folder / made, folder / "elsewhere"
    if path.exists():
        path.rename(target)
    elif (bench.new / made).is_dir():
        target.mkdir()
    path.symlink_to(target)
    ended = call([*stage.words, "--overwrite"] if kept else stage.words, folder)
    found = [] if path.is_symlink() else ["the link is gone"]
    if ended.code:
        return found + complaints(ended, (), [*names_of(stage), "elsewhere"])
    return found + compare(bench, stage, folder)


def _input(bench: Bench, stage: Stage, folder: Path, made: str, kept: bool) -> list[str]:
    """The output is an input: as a second name of it, or as a link to it."""
    inputs = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_made(folder, stage, path)]
    source = next((path for path in inputs if path.name in stage.words or path.suffix == ".tok"), inputs[0])
    path = folder / made
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source)
    before = tree(folder)
    ended = call([*stage.words, "--overwrite"], folder)
    return complaints(ended, (), [*names_of(stage), source.name]) + changes(folder, before)


def _device(bench: Bench, stage: Stage, folder: Path, made: str, kept: bool) -> list[str]:
    path = folder / made
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.devnull)
    ended = call(stage.words if not kept else [*stage.words, "--overwrite"], folder)
    found = [] if ended.code == 0 else [f"exit code {ended.code}: {ended.err}"]
    found += [] if path.is_symlink() and Path(os.devnull).is_char_device() else ["the device was replaced"]
    return found + [f"litter: {name}" for name in stages.litter(folder)]


def _fifo(bench: Bench, stage: Stage, folder: Path, made: str, kept: bool) -> list[str]:
    path = folder / made
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    keeper = os.open(path, os.O_RDWR)  # so that neither side waits for the other
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(_read_all(path)), daemon=True)
    reader.start()
    time.sleep(0.05)
    ended = call(stage.words if not kept else [*stage.words, "--overwrite"], folder)
    os.close(keeper)
    reader.join(timeout=60)
    found = [] if ended.code == 0 else [f"exit code {ended.code}: {ended.err}"]
    found += [] if stat.S_ISFIFO(path.stat().st_mode) else ["the FIFO was replaced"]
    wanted = (bench.new / made).read_bytes()
    same = read == [wanted] or (made.endswith(".npz") and _arrays(read[0]) == _arrays(wanted))
    found += [] if same else [f"{sum(map(len, read))} bytes came through, not {len(wanted)}"]
    return found + [f"litter: {name}" for name in stages.litter(folder)]


def _arrays(archive: bytes) -> dict[str, bytes]:
    """The members of a ZIP archive, which has more around them where its writer could not seek."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _read_all(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()


ODD = {"link": _link, "input": _input, "device": _device, "fifo": _fifo}


def other_model(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """`--resume` after a kill, with an input or a model that is not the one that the run began with."""
    if not stage.reads:
        return []
    with bench.trial(stage, kept=False) as folder:
        running = Child(stage.words, folder)
        time.sleep(dice.uniform(0.2, 1.0) * bench.seconds[stage.name])
        running.kill()
        running.wait()
        if again(stage, folder) != stage.resumed:
            return []  # it was killed before it wrote anything
        changed = _exchange_input(bench, stage, folder, dice)
        before = {made: stages.contents(folder, made) for made in stage.makes}
        kept = {made: _bytes(folder / f"{made}.partial") for made in stage.makes}
        ended = call(stage.resumed, folder)
        found = complaints(ended, (), [*names_of(stage), *changed])
        same = before == {made: stages.contents(folder, made) for made in stage.makes}
        same &= kept == {made: _bytes(folder / f"{made}.partial") for made in stage.makes}
        return [f"{changed[0]}: {one}" for one in found + ([] if same else ["what was kept has changed"])]


def _exchange_input(bench: Bench, stage: Stage, folder: Path, dice: random.Random) -> list[str]:
    """Put an input of another text in the place of one; returns what a message may call it."""
    place = dice.choice(stage.reads)
    for path in (bench.old / place, manifest.manifest_path(bench.old / place)):
        target = folder / path.relative_to(bench.old)
        if path.is_dir():
            shutil.rmtree(target)
            shutil.copytree(path, target)
        elif path.is_file():
            shutil.copyfile(path, target)
    return [place, Path(place).name]


def vanish(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """The workspace is removed, or renamed, while the command runs."""
    with bench.trial(stage, kept=dice.random() < 0.5 and not stage.resumes) as folder:
        words = again(stage, folder)
        work = folder / Path(stage.makes[0]).parts[0]
        renamed = folder / "renamed"
        running = Child(words, folder)
        time.sleep(dice.uniform(0.0, 1.1) * bench.seconds[stage.name])
        work.rename(renamed)
        ended = running.wait()
        if ended.code == 0:
            return [f"sealed: {one}" for one in _incomplete(bench, stage, folder)]
        found = complaints(ended, (), [*names_of(stage), work.name])
        return found + [f"sealed: {one}" for one in _incomplete(bench, stage, folder)]


def _incomplete(bench: Bench, stage: Stage, folder: Path) -> list[str]:
    """What carries a manifest and lacks something, in the folder that was made anew."""
    found = []
    for made in stage.makes:
        place = manifest.manifest_path(folder / made)
        if not place.exists():
            continue
        try:
            listed = manifest.load(place).files
        except RnnkitError as error:
            found.append(f"{made}: {error}")
            continue
        found += [f"{made}: {fault}" for fault in stages.faults(folder, made)]
        if listed and (bench.new / made).is_dir() and "best.safetensors" in listed:
            new = manifest.load(manifest.manifest_path(bench.new / made)).files
            found += [f"{made}: without {name}" for name in new if name not in listed and name != "curve.png"]
    return found


def readers(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """Readers beside a writer: the writer is never disturbed, the readers never break down."""
    with bench.trial(stage, kept=True) as folder:
        words = [*stage.words, "--overwrite"]
        running = Child(words, folder)
        looks = [["inspect", stage.makes[0]], ["verify", stage.makes[0]], list(stage.read_by)]
        found = []
        while not running.ended():
            look = dice.choice(looks[:2] if "--overwrite" in stage.read_by or "--output" in stage.read_by else looks)
            ended = call(look, folder)
            if ended.code:
                found += [one for one in complaints(ended, (), ("",)) if "exit code 1" not in one]
        ended = running.wait()
        if ended.code:
            found.append(f"exit code {ended.code}: {ended.err}")
        return found + compare(bench, stage, folder)


def tree(folder: Path) -> Tree:
    """Everything below a folder: type, and bytes or a link's target."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".lock"):
            continue
        mode = stat.S_IFMT(path.lstat().st_mode)
        content: bytes | str = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def changes(folder: Path, before: Tree) -> list[str]:
    """What a failed command has changed."""
    after = tree(folder)
    return [f"{name}{CHANGED}" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def _is_made(folder: Path, stage: Stage, path: Path) -> bool:
    roots = [folder / made for made in stage.makes]
    return any(root == path or root in path.parents or path == manifest.manifest_path(root) for root in roots)


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _thesis(path: Path, dice: random.Random) -> bool:
    """A folder of the user."""
    _clear(path)
    path.mkdir(parents=True)
    (path / "chapter1.txt").write_text("precious")
    return True


def _notes(path: Path, dice: random.Random) -> bool:
    """A file of the user in a folder of rnnkit's."""
    if not path.is_dir() or not (path / manifest.NAME).exists():
        return False
    inside = [path, *(inner for inner in path.rglob("*") if inner.is_dir())]
    (dice.choice(inside) / "notes.txt").write_text("precious")
    return True


def _text(path: Path, dice: random.Random) -> bool:
    """A text of the user in the place of an artefact that has a manifest."""
    if not manifest.manifest_path(path).is_file() or path.is_dir():
        return False
    manifest.manifest_path(path).unlink()
    path.write_text("precious")
    return True


def _other_kind(path: Path, dice: random.Random) -> bool:
    """An artefact of another kind."""
    place = manifest.manifest_path(path)
    if not place.is_file():
        return False
    found = manifest.load(place)
    manifest.write(place, manifest.Manifest("toy", 1, found.options, found.inputs, found.files, found.facts))
    return True


def _lost_manifest(path: Path, dice: random.Random) -> bool:
    """A folder of rnnkit's that has lost its manifest."""
    if not (path / manifest.NAME).is_file():
        return False
    (path / manifest.NAME).unlink()
    return True


FOREIGN: tuple[Callable[[Path, random.Random], bool], ...] = (_thesis, _notes, _text, _other_kind, _lost_manifest)


def _clear(path: Path) -> None:
    for one in (path, path.with_name(f"{path.name}.{manifest.NAME}")):
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)


OUTPUT_FAULTS: dict[str, Fault] = {
    "foreign": foreign,
    "failing input": failing_input,
    "odd output": odd_output,
    "other model": other_model,
    "vanish": vanish,
    "readers": readers,
}
"""By the name that the table has."""
