"""Environment variables: former names, and names that no command reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping

from rnnkit.cli import suggestions
from rnnkit.options.declare import PREFIX, Parameter, variable_name

OTHERS = ("RNNKIT_CORPORA",)
"""Variables that are not options: the folder of corpora for tests and benchmarks."""


def apply_former_names(environment: MutableMapping[str, str], parameters: Collection[Parameter]) -> Iterator[str]:
    """Set variables of renamed options from those of their former names; yields a warning about each."""
    for parameter in parameters:
        old = PREFIX + variable_name(parameter.declared.formerly)
        new = parameter.variable
        if new is not None and old != PREFIX and old in environment:
            environment.setdefault(new, environment.pop(old))
            yield f"{old} is now {new}; the former name works until the next release"


def unread_variables(
    environment: Collection[str], parameters: Collection[Parameter], every: Callable[[], Collection[Parameter]]
) -> Iterator[str]:
    """Warn about variables that no command reads, and those that this command reads under another name.

    Args:
        environment: Names of variables.
        parameters: The parameters of the command that runs.
        every: Returns the parameters of all commands; called only for a variable that this command does not read.
    """
    own = {each.variable for each in parameters}
    others = [name for name in environment if name.startswith(PREFIX) and name not in {*own, *OTHERS}]
    if not others:
        return
    named = {PREFIX + variable_name(each.key): each for each in parameters}
    known = {each.variable: each for each in every() if each.variable is not None}
    for name in others:
        if name in named:
            yield f"{name} is not read here: {named[name].spelling} is {named[name].variable}"
        elif name not in known:
            near = suggestions.nearest(name, [*known, *OTHERS])
            hint = f"did you mean {' or '.join(near)}?" if near else "no command reads it"
            yield f"{name} is not a variable of rnnkit: {hint}"
