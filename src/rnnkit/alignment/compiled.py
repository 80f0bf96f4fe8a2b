"""How the kernels of word alignment are compiled: sums may be reordered."""

from pathlib import Path

from rnnkit.kernels.compiler import Compiler

_compiler = Compiler(Path(__file__).parent, reassociate=True)
kernel, inlined = _compiler.kernel, _compiler.inlined
