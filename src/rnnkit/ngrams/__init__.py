"""Counted language models: n-grams, how their probabilities are estimated, stored and asked for. No torch.

Shapes live in names. Beside the project's legend (`rnnkit/nn/__init__.py`), here:

    P positions of the text, one <s> before each line
    N n-grams of one order     C contexts of those, the n-grams one order lower     S their suffixes, the same
    A n-grams of all orders    I those of them that are shorter than the longest    M ids or rows of one block
    V vocabulary               K words of an n-gram

X1 is one more than X. Within a level n-grams are numbered from 0; in a model they are nodes, numbered through all
orders, the empty context being node 0.
"""
