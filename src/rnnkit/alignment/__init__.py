"""Word alignment, and the lexical translation tables and vocabulary shortlists made from it. No torch.

Shape legend:

    N   sentence pairs
    S   words of a source sentence, or of all source sentences concatenated
    T   words of a target sentence, or of all target sentences concatenated
    H   shapes: distinct pairs of sentence lengths
    R   rows of a table: the source vocabulary and, last, the NULL word
    A   slots of a table
    E   entries of a sorted table
    L   alignment links
    D   jumps          B   jump weights, the longest jumps sharing one          K   HMM states          M   lengths

X1 is one more than X. EOS is not a word here: it is never aligned.
"""
