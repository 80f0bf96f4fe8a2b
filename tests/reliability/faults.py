"""Faults, each injected into a run of a real command; a trial says what was lost, or nothing."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.reliability import child, disk, stages
from tests.reliability.child import Child, Ended, call
from tests.reliability.stages import Stage

from rnnkit.io import manifest
from rnnkit.io.artifact_output import recover_directory as recover_folder

Contents = dict[str, dict[str, bytes] | None]


@dataclass
class Bench:
    """What trials start from: everything made of a text, and everything made of another.

    Attributes:
        new: Folder of what the commands make where nothing happens.
        old: The same, of other texts: what stands where a command is about to write.
        scratch: Folder for trials.
        seconds: How long each stage runs.
        trials: Trials begun.
    """

    new: Path
    old: Path
    scratch: Path
    seconds: dict[str, float] = field(default_factory=dict)
    trials: int = 0

    @contextmanager
    def trial(self, stage: Stage, kept: bool, place: Path | None = None) -> Iterator[Path]:
        """A folder (`place`, or a new one) in which a stage is about to run, with an old output where `kept`."""
        self.trials += 1
        folder = place or self.scratch / f"trial{self.trials}"
        shutil.copytree(self.new, folder, dirs_exist_ok=True)
        for made in stage.makes:
            _remove(folder / made)
            if kept:
                _copy(self.old / made, folder / made)
        yield folder
        if place is None:
            shutil.rmtree(folder)

    def wanted(self, stage: Stage) -> Contents:
        """What the stage makes."""
        return {made: stages.contents(self.new, made) for made in stage.makes}

    def before(self, stage: Stage) -> Contents:
        """What an old run of the stage has left."""
        return {made: stages.contents(self.old, made) for made in stage.makes}


def prepare(scratch: Path, chosen: Sequence[Stage]) -> Bench:
    """Run every stage up to the last one chosen, twice, on different texts."""
    bench = Bench(scratch / "new", scratch / "old", scratch)
    last = max(stages.STAGES.index(stage) for stage in chosen)
    for first, folder in enumerate((bench.new, bench.old)):
        stages.write_texts(folder, first)
        for stage in stages.STAGES[: last + 1]:
            ended = call(stage.words, folder)
            assert ended.code == 0, f"{stage.name}: {ended.err}"
            bench.seconds[stage.name] = ended.seconds
    return bench


def kill(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """SIGKILL, up to three times in a row; then the command is finished."""
    with bench.trial(stage, kept=not stage.resumes and dice.random() < 0.5) as folder:
        found = []
        for _ in range(dice.randint(1, 3)):
            running = Child(again(stage, folder), folder)
            time.sleep(dice.uniform(0.0, 1.1) * bench.seconds[stage.name])
            running.kill()
            if running.wait().code == 0:
                break
            found += torn(bench, stage, folder)
        return found + finish(bench, stage, folder)


def full_disk(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """Files that cannot grow beyond a limit, as on a disk that is full."""
    sizes = [len(file) for made in bench.wanted(stage).values() for file in (made or {}).values()]
    with bench.trial(stage, kept=not stage.resumes and dice.random() < 0.5) as folder:
        limit = partial(child.limit_files, dice.randint(0, max(sizes) - 1))
        return _starve(bench, stage, folder, limit) + finish(bench, stage, folder)


def small_disk(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """A disk with too little room, where one may be mounted."""
    sizes = [len(file) for made in bench.wanted(stage).values() for file in (made or {}).values()]
    with disk.mounted(bench.scratch / "disk") as place, bench.trial(stage, not stage.resumes, place) as folder:
        disk.leave(folder, dice.randint(0, sum(sizes)))
        found = _starve(bench, stage, folder, lambda: None)
        disk.leave(folder, disk.PLENTY)
        return found + finish(bench, stage, folder)


def read_only(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """A folder that nobody may write to."""
    with bench.trial(stage, kept=not stage.resumes and dice.random() < 0.5) as folder:
        words, places = again(stage, folder), [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        for path in places:
            path.chmod(0o555)
        ended = call(words, folder, child.lose_rights)
        for path in places:
            path.chmod(0o755)
        found = complaints(ended, ("cannot write", "Permission denied"), names_of(stage))
        return found + torn(bench, stage, folder) + _litter(folder) + finish(bench, stage, folder)


def cut(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """A file that ends too early."""
    return _damage(bench, stage, dice, lambda whole: whole[: dice.choice((0, 1, len(whole) - 1, _place(whole, dice)))])


def flip(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """A byte that has changed."""

    def change(whole: bytes) -> bytes:
        place = _place(whole, dice)
        return whole[:place] + bytes([whole[place] ^ dice.randint(1, 255)]) + whole[place + 1 :]

    return _damage(bench, stage, dice, change)


def two_at_once(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """Two processes with one output."""
    kept = not stage.resumes and dice.random() < 0.5
    with bench.trial(stage, kept) as folder:
        words = [*stage.words, "--overwrite"] if kept else stage.words
        first = Child(words, folder)
        time.sleep(dice.choice((0.0, dice.random() * bench.seconds[stage.name])))
        second = Child(words, folder)
        both = (first.wait(), second.wait())
        found = [] if any(ended.code == 0 for ended in both) else ["neither of the two was done"]
        for ended in both:
            if ended.code:
                reasons = ("in use", "already exists", "an interrupted run left")
                found += complaints(ended, reasons, names_of(stage))
        return found + compare(bench, stage, folder)


def clock(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """The clock of the wall runs backwards."""
    with bench.trial(stage, kept=False) as folder:
        ended = call(stage.words, folder, partial(child.jump_clock, dice.uniform(0.5, 1e6)))
        return ([] if ended.code == 0 else [f"exit code {ended.code}: {ended.err}"]) + compare(bench, stage, folder)


def dead_stream(bench: Bench, stage: Stage, dice: random.Random) -> list[str]:
    """Standard input, output or error that is closed, or a pipe that nobody reads."""
    number, broken = dice.choice(((0, False), (1, False), (2, False), (1, True), (2, True)))
    with bench.trial(stage, kept=False) as folder:
        ended = call(stage.words, folder, partial(_break, number, broken))
        found = [] if ended.code in ((0, 141) if broken else (0,)) else [f"exit code {ended.code}: {ended.err}"]
        return found + ["a traceback"] * ("Traceback" in ended.err) + finish(bench, stage, folder)


Fault = Callable[[Bench, Stage, random.Random], list[str]]
FAULTS: dict[str, Fault] = {
    "kill": kill,
    "cut": cut,
    "flip": flip,
    "full disk": full_disk,
    "small disk": small_disk,
    "read-only": read_only,
    "two at once": two_at_once,
    "clock": clock,
    "dead stream": dead_stream,
}
"""By the name that the table has."""


def again(stage: Stage, folder: Path) -> list[str]:
    """The command line that goes on, begins, or replaces, as what is there demands."""
    begun = any((folder / made / manifest.NAME).exists() for made in stage.makes)
    growing = any((folder / f"{made}.partial").exists() for made in stage.makes)
    if stage.resumes and (begun or growing):
        return stage.resumed
    return [*stage.words, "--overwrite"] if any((folder / made).exists() for made in stage.makes) else [*stage.words]


def torn(bench: Bench, stage: Stage, folder: Path) -> list[str]:
    """What is neither as it was nor as it will be."""
    found = []
    wanted, before = bench.wanted(stage), bench.before(stage)
    for made in stage.makes:
        recover_folder(folder / made)
        here = stages.contents(folder, made) or {}
        known = [contents[made] or {} for contents in (wanted, before)]
        if not stage.resumes:
            part = [name for name, data in here.items() if data not in [files.get(name) for files in known]]
            found += [f"{name} is neither old nor new" for name in part]
        if (folder / made / manifest.NAME).exists():
            found += [f"{made}: {fault}" for fault in stages.faults(folder, made)]
    return found


def _starve(bench: Bench, stage: Stage, folder: Path, limit: Callable[[], None]) -> list[str]:
    ended = call(again(stage, folder), folder, limit)
    if ended.code == 0:
        return torn(bench, stage, folder)
    return complaints(ended, ("the disk is full",), names_of(stage)) + torn(bench, stage, folder)


def finish(bench: Bench, stage: Stage, folder: Path) -> list[str]:
    """Run the command to its end, as a person would who saw what is there; what comes out must be exact."""
    words = again(stage, folder)
    ended = call(words, folder)
    if ended.code and "is finished" not in ended.err:
        return [f"{' '.join(words)} ends with {ended.code}: {ended.err}"]
    return compare(bench, stage, folder)


def compare(bench: Bench, stage: Stage, folder: Path) -> list[str]:
    found = []
    for made, wanted in bench.wanted(stage).items():
        here = stages.contents(folder, made)
        if here is None or wanted is None or here.keys() != wanted.keys():
            found.append(f"{made}: {sorted(here or {})} in place of {sorted(wanted or {})}")
        else:
            found += [f"{name} differs" for name in here if here[name] != wanted[name]]
        found += [f"{made}: {fault}" for fault in stages.faults(folder, made)]
    return found + _litter(folder)


def _litter(folder: Path) -> list[str]:
    return [f"litter: {path}" for path in stages.litter(folder)]


def complaints(ended: Ended, reasons: Sequence[str], names: Sequence[str]) -> list[str]:
    """What is wrong with how a failure was explained."""
    found = [] if ended.code == 1 else [f"exit code {ended.code}"]
    found += ["a traceback, or a defect"] * ("Traceback" in ended.err or "defect" in ended.err)
    found += ["no reason"] * (bool(reasons) and not any(reason in ended.err for reason in reasons))
    found += ["no file is named"] * (not any(name in ended.err for name in names))
    return [f"{fault}: {ended.err}" for fault in found]


def names_of(stage: Stage) -> list[str]:
    """What a message may call what a stage writes: the output, what is in it or beside it, or its folder."""
    parents = {str(Path(made).parent) for made in stage.makes}
    return [*stage.makes, *(f"{parent}/" for parent in parents), *(f"{parent} was not written" for parent in parents)]


def _damage(bench: Bench, stage: Stage, dice: random.Random, change: Callable[[bytes], bytes]) -> list[str]:
    """Damage one file: `verify` must name it; who reads it must name it too, or do without, and never break down."""
    with bench.trial(stage, kept=False) as folder:
        for made in stage.makes:
            _copy(bench.new / made, folder / made)
        files = [file for made in stage.makes for file in files_of(folder / made) if file.stat().st_size]
        file = dice.choice(files)
        whole = file.read_bytes()
        file.write_bytes(change(whole))
        if file.read_bytes() == whole:
            return []
        name, roots = str(file.relative_to(folder)), [folder / made for made in stage.makes]
        root = next(
            root for root in roots if file == root or file == manifest.manifest_path(root) or root in file.parents
        )
        found = []
        if manifest.manifest_path(root).exists() or root.is_dir():
            verified = call(["verify", str(root.relative_to(folder))], folder)
            if not ("without a checksum" in verified.err and name in verified.err):
                found = [f"verify {name}: {fault}" for fault in complaints(verified, (), (name, file.name))]
        ended = call(stage.read_by, folder)
        if ended.code:
            near = (name, str(file.parent.relative_to(folder)), str(root.relative_to(folder)))
            found += [f"{' '.join(stage.read_by)}, {name}: {fault}" for fault in complaints(ended, (), near)]
        return found


def _place(whole: bytes, dice: random.Random) -> int:
    return dice.randrange(len(whole))


def files_of(path: Path) -> list[Path]:
    """The files of an artefact, its manifest among them."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [file for file in (path, manifest.manifest_path(path)) if file.exists()]


def _remove(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}.{manifest.NAME}")):
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    for file in files_of(source):
        shutil.copyfile(file, target.with_name(file.name))


def _break(number: int, broken: bool) -> None:
    """Close a standard stream of this process, or make it a pipe without a reader."""
    name = ("stdin", "stdout", "stderr")[number]
    if broken:
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(reading)
        os.close(writing)
        return
    os.close(number)
    setattr(sys, name, None)
