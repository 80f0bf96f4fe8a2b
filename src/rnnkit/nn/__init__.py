"""Neural network modules: recurrent cells and layers, attention, Transformer layers, dropout, losses. No I/O.

Where a layer runs on a compiled kernel or a fused call, the same file (for recurrent layers, `cells.py`) has a readable
reference, and tests compare values and gradients.

Suffixes of tensor names give their shapes. The legend, valid in the whole project:

    B batch   S source length   T target length   E embedding   H hidden   V vocabulary
    K beam    L layers          N rows (B x T without padding)   D vector dimension

`memory_BSH` has shape (B, S, H) and no other. Files that need more letters list them in their docstring.
"""
