"""Neural network parts: cells as equations, their fused layers, attention, dropout, losses. No I/O.

Shapes live in names. The legend, everywhere in the project:

    B batch   S source length   T target length   E embedding   H hidden   V vocabulary
    K beam    L layers          N rows (B x T without padding)   D vector dimension

`memory_BSH` is never anything else. Two letters of the same size are told apart by the text around them.
"""
