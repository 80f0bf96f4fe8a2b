"""Which word of a sentence goes with which of its translation; word tables and shortlists made from that. No torch.

Shapes in names:

    N   sentence pairs
    S   words of a source sentence, or source tokens of many sentences one after the other
    T   words of a target sentence, or target tokens likewise
    R   rows of a table: the source vocabulary and, last, the empty word
    A   slots of a table
    L   links

The end symbol of a sentence is no word here: it is never aligned.
"""
