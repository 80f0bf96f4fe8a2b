"""Which code this interpreter and the ones it starts may run: installed modules, and nothing from the current folder.

People run commands in folders that they unpacked from somewhere. A `secrets.py` or a `matplotlibrc` in such a folder
is data, so `python -m` must not import the one and the libraries must not read the other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # the classes would cost every command some 5 ms, and what they are for does not need them
    Loader = MetaPathFinder = object

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120 - this file imports little
"""Folder in which this `rnnkit` was found."""

SETTINGS_READERS = {"matplotlib": None, "numba.core.config": "_config_fname"}
"""Modules that read a file of the current folder while they are imported; where one reads it again later, the variable
that holds the file's name."""

PARENT_VARIABLE = "_RNNKIT_PARENT"
"""Environment variable with the number of the process that started this one and that it must not outlive."""


def interpreter_command(*words: str) -> list[str]:
    """The command line of another interpreter like this one, which does not search the current folder for modules."""
    return [sys.executable, "-P", *words]


def child_environment() -> dict[str, str]:
    """The environment variables with which other interpreters find the same modules, and none in the current folder."""
    variables = {**os.environ, "PYTHONSAFEPATH": "1"}
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [entry for entry in given if entry not in _CURRENT_DIRECTORY]
    if ROOT not in {os.path.realpath(entry) for entry in [*named, *_installed()]}:
        named.append(ROOT)
    if named != given:
        variables["PYTHONPATH"] = os.pathsep.join(named)
    return variables


def search_path() -> list[str]:
    """`sys.path` with this `rnnkit`, and without the current folder where that is not named by its full path."""
    unwanted = set(_CURRENT_DIRECTORY)
    if _CURRENT_DIRECTORY & {
        *os.environ.get("PYTHONPATH", "x").split(os.pathsep)
    }:  # which Python has made a full path of
        unwanted.add(os.path.realpath(os.curdir))
    path = [entry for entry in sys.path if entry not in unwanted]
    return path if ROOT in {os.path.realpath(entry) for entry in path} else [*path, ROOT]


def protect_imports() -> None:
    """Keep this process, and all that it starts from here on, from running what lies in the current folder."""
    sys.path[:] = search_path()
    os.environ.update(child_environment())
    os.environ["MPLBACKEND"] = "agg"  # pictures become files, and any other might have to be installed
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


_CURRENT_DIRECTORY = {"", os.curdir}
"""How a search path names the current folder."""


def _installed() -> list[str]:
    """Where an interpreter looks for modules by itself."""
    return [entry for entry in sys.path if entry.startswith((sys.prefix, sys.base_prefix))]


class _Finder(MetaPathFinder):
    """Finds the modules of `READ_SETTINGS`, and has them loaded where no such file lies."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's own spec with another loader; None for all other modules."""
        if name not in SETTINGS_READERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Runs a module in the root folder, where only the administrator may put files."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        with _in_root_folder():
            self._own.exec_module(module)
        name = SETTINGS_READERS[module.__name__]
        if name is not None:
            setattr(module, name, os.devnull)

    def __getattr__(self, name: str) -> object:
        return getattr(self._own, name)


@contextmanager
def _in_root_folder() -> Iterator[None]:
    try:
        here = os.open(os.curdir, getattr(os, "O_PATH", os.O_RDONLY))
    except OSError:  # the current folder is gone or closed to this user, so nothing in it can be read either
        yield
        return
    try:
        os.chdir(os.sep)
        yield
    finally:
        os.fchdir(here)
        os.close(here)
