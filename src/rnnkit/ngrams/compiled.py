"""How the kernels of n-grams are compiled: they compute as it is written, so that figures are the same everywhere."""

from pathlib import Path

from rnnkit.kernels.compiler import Compiler

_compiler = Compiler(Path(__file__).parent)
kernel, inlined = _compiler.kernel, _compiler.inlined
