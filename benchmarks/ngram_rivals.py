"""What KenLM says of an ARPA file; `ngrams.py` runs this in the rival's own Python, which needs no more than `kenlm`.

    python ngram_rivals.py ARPA TEXT SCORES

TEXT has tokens line by line, SCORES their logarithms to base 10 as rnnkit has them: float64, ends of lines too. The
answer is one JSON object: how many n-grams the file has, and the largest differences of their probabilities and of the
tokens' scores.
"""

from __future__ import annotations

import importlib
import json
import sys
from array import array
from typing import Any


def compare_ngrams(model: Any, kenlm: Any, path: str) -> tuple[int, float]:
    """Ask KenLM for the probability of every n-gram in its context; <s> has none."""
    compared, largest = 0, 0.0
    order = 0
    context: list[str] | None = None
    state, after = kenlm.State(), kenlm.State()
    with open(path, encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - for any Python, on its own
        for line in file:
            if line.startswith("\\"):
                order = int(line[1:].partition("-")[0]) if line.endswith("-grams:\n") else 0
                context = None
                continue
            if not order or line == "\n":
                continue
            log10, text = line.rstrip("\n").split("\t")[:2]
            words = text.split(" ")
            if words[-1] == "<s>":
                continue
            if words[:-1] != context:  # the n-grams of a context stand together
                context = words[:-1]
                state = read(model, kenlm, context)
            largest = max(largest, abs(model.BaseScore(state, words[-1], after) - float(log10)))
            compared += 1
    return compared, largest


def read(model: Any, kenlm: Any, context: list[str]) -> Any:
    """KenLM's state after a context."""
    state, before = kenlm.State(), kenlm.State()
    starts = context[:1] == ["<s>"]
    (model.BeginSentenceWrite if starts else model.NullContextWrite)(state)
    for word in context[starts:]:
        state, before = before, state
        model.BaseScore(before, word, state)
    return state


def compare_scores(model: Any, text: str, scores: str) -> tuple[int, float]:
    """Score every line."""
    ours = array("d")
    with open(scores, "rb") as file:  # noqa: PTH123
        ours.frombytes(file.read())
    compared, largest = 0, 0.0
    with open(text, encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        for line in file:
            for log10, _, _ in model.full_scores(line.rstrip("\n")):
                largest = max(largest, abs(log10 - ours[compared]))
                compared += 1
    if compared != len(ours):
        raise SystemExit(f"KenLM scored {compared} tokens, rnnkit {len(ours)}")
    return compared, largest


def main(arguments: list[str]) -> None:
    """Compare and answer."""
    kenlm = importlib.import_module("kenlm")
    arpa, text, scores = arguments
    model = kenlm.Model(arpa)
    ngrams, ngram_difference = compare_ngrams(model, kenlm, arpa)
    tokens, token_difference = compare_scores(model, text, scores)
    print(
        json.dumps(
            {
                "ngrams": ngrams,
                "ngram_difference": ngram_difference,
                "tokens": tokens,
                "token_difference": token_difference,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
