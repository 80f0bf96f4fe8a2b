"""How the kernels of word embeddings are compiled.

They allocate nothing and return no array, so references to arrays are not counted. Without that, and with what is
called in every window made part of its caller, training is 30 % faster.
"""

from pathlib import Path

from rnnkit.kernels.compiler import Compiler

_compiler = Compiler(Path(__file__).parent, reassociate=True, allocates=False)
kernel, inlined = _compiler.kernel, _compiler.inlined
