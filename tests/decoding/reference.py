"""Reference beam search: plain loops over one sentence, as in the literature."""

from __future__ import annotations

import torch

from rnnkit.decoding.stepper import SearchOptions, normalized_score
from rnnkit.text import special_tokens

from .tables import PrefixStepper

Found = list[tuple[tuple[int, ...], float, float]]


def reference_beam(stepper: PrefixStepper, sentence: int, limit: int, options: SearchOptions, words: int = 0) -> Found:
    """Return ids, log-probability and score of the n-best list."""
    never = {special_tokens.PAD, special_tokens.BOS} | (set() if options.allow_unknown else {special_tokens.UNK})
    living: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished: Found = []
    while living and len(finished) < options.beam:
        grown = []
        for ids, log_p in living:
            for token, step in enumerate(stepper._log_probabilities(sentence, ids)):
                length = len(ids) + 1
                seen = [
                    (*ids, token)[at : at + options.no_repeat_ngram]
                    for at in range(length + 1 - options.no_repeat_ngram)
                ]
                ends = token == special_tokens.EOS
                repeats = options.no_repeat_ngram and not ends and seen.count(seen[-1]) > 1 if seen else False
                early, late = ends and length < options.min_length, not ends and length >= limit
                if not (token in never or repeats or early or late):
                    grown.append(((*ids, token), log_p + step))
        grown.sort(key=lambda pair: -pair[1])
        best, living = grown[: options.beam - len(finished)], []
        for ids, log_p in best:
            if ids[-1] != special_tokens.EOS:
                living.append((ids, log_p))
                continue
            reached = normalized_score(log_p, len(ids), options.alpha)
            if options.coverage and stepper._attention is not None:
                covered = torch.tensor([stepper._attention(sentence, ids[:at]) for at in range(len(ids))]).sum(0)
                reached += options.coverage * sum(covered[:words].double().clamp(1e-9, 1).log().tolist())
            finished.append((ids[:-1], log_p, reached))
    return sorted(finished, key=lambda one: -one[2])[: options.nbest]
