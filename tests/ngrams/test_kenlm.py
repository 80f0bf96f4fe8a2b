"""KenLM reads what is written here, refuses what is refused here, and estimates what is estimated here."""

from __future__ import annotations

import gzip
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnkit.ngrams import kneser_ney
from rnnkit.ngrams.arpa import ngrams, write_arpa
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.counts import adjust, count, select
from rnnkit.ngrams.estimate import assemble, estimate, lay_out
from rnnkit.ngrams.model import NgramModel
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import BOS, EOS, NAMES, PAD
from rnnkit.text.vocabulary import Vocabulary

from .samples import TOKENS, make_model, random_lines
from .test_arpa_reader import FAULTS, VARIANTS

CLOSE = 1e-5
"""Of logarithms to base 10."""

TAKEN_BY_KENLM = ("is -inf", "is -1e99", "there is no tab", "-0.1 <s> the", "'<s> the' is there already")
"""Faults that KenLM lets pass: it reads what spaces part, and does not compare n-grams with each other."""


@pytest.fixture(scope="module")
def kenlm() -> Any:
    return pytest.importorskip("kenlm", reason="the kenlm package is not installed")


@pytest.fixture(scope="module")
def lmplz() -> str:
    return shutil.which("lmplz") or pytest.skip("KenLM's lmplz is not on the PATH")


@pytest.fixture(scope="module")
def corpora() -> Path:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    return Path(os.environ["RNNKIT_CORPORA"])


def largest_difference(kenlm: Any, path: Path, model: NgramModel, tokens: list[str], share: float = 1.0) -> float:
    """Between the probabilities of n-grams, each asked of KenLM in its context; of a share of the contexts."""
    other = kenlm.Model(str(path))
    random = np.random.default_rng(1)
    largest = 0.0
    for order in range(model.order):
        node_N = np.arange(model.level_begins[order], model.level_begins[order + 1])
        node_N = node_N[(order == 0) | (random.random(len(node_N)) < share)]
        node_N = node_N[model.begins_I1[node_N] < model.begins_I1[node_N + 1]]
        for node, context in zip(node_N.tolist(), ngrams(model, node_N, order).tolist(), strict=True):
            state, after = kenlm_state(kenlm, other, [tokens[word] for word in context]), kenlm.State()
            for child in range(model.begins_I1[node], model.begins_I1[node + 1]):
                if model.word_A[child] not in (PAD, BOS):
                    log10 = other.BaseScore(state, tokens[model.word_A[child]], after)
                    largest = max(largest, abs(log10 - float(model.log10_A[child])))
    return largest


def kenlm_state(kenlm: Any, model: Any, context: list[str]) -> Any:
    """KenLM's state after a context."""
    state, before = kenlm.State(), kenlm.State()
    model.NullContextWrite(state)
    if context[:1] == ["<s>"]:
        model.BeginSentenceWrite(state)
    for word in context[context[:1] == ["<s>"] :]:
        state, before = before, state
        model.BaseScore(before, word, state)
    return state


def kenlm_scores(kenlm: Any, path: Path, lines: list[str]) -> NDArray[np.float64]:
    """Natural logarithms of all tokens, ends of lines too."""
    other = kenlm.Model(str(path))
    return np.array([score[0] for line in lines for score in other.full_scores(line)]) * math.log(10)


def encode(lines: list[list[str]], vocabulary: Vocabulary) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    rows = [[*vocabulary.encode(line), EOS] for line in lines]
    return np.array([word for row in rows for word in row], np.int32), np.cumsum([0, *map(len, rows)])


@pytest.mark.parametrize("order", [2, 3, 5])
@pytest.mark.parametrize(
    "options", [{}, {"prune": (0, 1)}, {"smoothing": "add-k", "add": 0.1}, {"smoothing": "maximum-likelihood"}], ids=str
)
def test_kenlm_reads_every_probability(kenlm: Any, tmp_path: Path, order: int, options: dict[str, Any]) -> None:
    write_arpa(make_model(order=order, **options), TOKENS, tmp_path / "a.arpa")
    model, _ = read_arpa(tmp_path / "a.arpa")  # with -99 where something is impossible
    assert largest_difference(kenlm, tmp_path / "a.arpa", model, TOKENS) < CLOSE


@pytest.mark.parametrize("order", [2, 3, 5])
def test_kenlm_scores_alike(kenlm: Any, tmp_path: Path, order: int) -> None:
    model = make_model(order=order)
    write_arpa(model, TOKENS, tmp_path / "a.arpa.gz")
    lines = [[TOKENS[word] for word in line[:-1]] for line in random_lines(seed=9)] + [["what", "the", "cat", "saw"]]
    vocabulary = Vocabulary(tuple(TOKENS), (0,) * len(TOKENS))
    wanted = kenlm_scores(kenlm, tmp_path / "a.arpa.gz", [" ".join(line) for line in lines])
    assert model.score(*encode(lines, vocabulary)) == pytest.approx(wanted, abs=CLOSE)


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_what_kenlm_refuses_is_refused(kenlm: Any, tmp_path: Path, text: str, message: str) -> None:
    """That it is refused here is tested elsewhere; this holds the list of faults to KenLM."""
    (tmp_path / "a.arpa").write_text(text, encoding="utf-8")
    if any(part in text + message for part in TAKEN_BY_KENLM):
        return
    with pytest.raises(OSError, match=r"a\.arpa"):
        kenlm.Model(str(tmp_path / "a.arpa"))


@pytest.mark.parametrize("text", [text for text in VARIANTS if not text.startswith("\ufeff")])
def test_what_is_taken_is_taken_by_kenlm(kenlm: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.arpa").write_bytes(text.encode())
    assert kenlm.Model(str(tmp_path / "a.arpa")).order == 3


def run_lmplz(lmplz: str, text: str, folder: Path, order: int, prune: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Write `lmplz.arpa`; returns the discounts of each order."""
    thresholds = map(str, prune or (0,))
    command = [lmplz, "-o", str(order), "-S", "500M", "-T", str(folder), "--discount_fallback", "--prune", *thresholds]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=300)
    (folder / "lmplz.arpa").write_bytes(done.stdout)
    told = re.findall(r"^\d+ \d\S* D1=(\S+) D2=(\S+) D3\+=(\S+)", done.stderr.decode(), re.MULTILINE)
    return [tuple(map(float, discounts)) for discounts in told]


def table(model: NgramModel, tokens: list[str]) -> dict[str, tuple[float, float]]:
    """Logarithms and back-off weights of all n-grams but <pad>."""
    found = {}
    for order in range(1, model.order + 1):
        node_N = np.arange(model.level_begins[order], model.level_begins[order + 1])
        backoff_N = model.backoff_I[node_N].tolist() if order < model.order else [0.0] * len(node_N)
        rows = zip(ngrams(model, node_N, order).tolist(), model.log10_A[node_N].tolist(), backoff_N, strict=True)
        for words, log10, backoff in rows:
            if words != [PAD]:
                found[" ".join(tokens[word] for word in words)] = log10, backoff
    return found


def estimate_with(discounts: Any, lines: list[list[int]], size: int, order: int, prune: tuple[int, ...]) -> NgramModel:
    """`estimate` with discounts that are given: lmplz's own are a little off (`discounts.py`)."""
    ids, offsets = np.concatenate(lines).astype(np.int32), np.cumsum([0, *map(len, lines)])
    levels = list(count(lay_out(ids, offsets, size), size, order))
    kept = select(levels, NgramOptions(order=order, prune=prune).thresholds())
    outcome_V = np.ones(size, dtype=np.bool_)
    outcome_V[[PAD, BOS]] = False
    weights = kneser_ney.smooth(levels, adjust(levels), kept, discounts, outcome_V)
    return assemble(levels, kept, weights, size, {})


@pytest.mark.parametrize("prune", [(), (0, 1), (0, 0, 2)], ids=str)
@pytest.mark.parametrize(("order", "seed"), [(1, 1), (2, 2), (3, 3), (4, 4), (6, 5)])
def test_lmplz_estimates_the_same(lmplz: str, tmp_path: Path, order: int, seed: int, prune: tuple[int, ...]) -> None:
    prune = prune[:order]
    lines = random_lines(seed, lines=100, size=30)
    words = [*NAMES, *(f"w{row}" for row in range(4, 30))]
    text = "\n".join(" ".join(words[word] for word in line[:-1]) for line in lines) + "\n"
    discounts = run_lmplz(lmplz, text, tmp_path, order, prune)
    assert {word for line in lines for word in line} == {EOS, *range(4, 30)}
    model, tokens = read_arpa(tmp_path / "lmplz.arpa")
    wanted = table(model, tokens)
    found = table(estimate_with(discounts, lines, 30, order, prune), words)
    assert found.keys() == wanted.keys()
    for ngram, pair in wanted.items():
        assert found[ngram] == pytest.approx(pair, abs=2 * CLOSE), ngram  # lmplz tells six digits of a discount


CORPORA = {
    "ptb": ("ptb/ptb.{}.txt.gz", 82_430, {3: 148.281, 5: 141.186}),
    "wikitext-2": ("wikitext-2/wiki.{}.tokens.gz", 245_569, {3: 226.051, 5: 220.139}),
}
"""Files, tokens of the test part, and the perplexity that `lmplz` and `query` have there."""


def load(corpora: Path, name: str, part: str) -> list[list[str]]:
    with gzip.open(corpora / CORPORA[name][0].format(part), "rt", encoding="utf-8", newline="\n") as file:
        # KenLM wants another spelling of rare words than its own unknown word's.
        return [line.replace("<unk>", "<rare>").split() for line in file]


@pytest.fixture(scope="module", params=list(CORPORA))
def corpus(request: pytest.FixtureRequest, corpora: Path) -> tuple[str, Vocabulary, list[list[str]], list[list[str]]]:
    train, test = load(corpora, request.param, "train"), load(corpora, request.param, "test")
    return request.param, Vocabulary.from_counts(Counter(word for line in train for word in line)), train, test


@pytest.mark.slow
@pytest.mark.parametrize("order", [3, 5])
def test_perplexity_of_a_benchmark_is_kenlms(corpus: Any, order: int) -> None:
    name, vocabulary, train, test = corpus
    _, tokens, perplexities = CORPORA[name]
    model = estimate(*encode(train, vocabulary), len(vocabulary), NgramOptions(order=order))
    log_p = model.score(*encode(test, vocabulary))
    assert len(log_p) == tokens
    assert math.exp(-log_p.mean()) == pytest.approx(perplexities[order], abs=0.002)


@pytest.mark.slow
def test_kenlm_reads_the_probabilities_of_a_benchmark(kenlm: Any, tmp_path: Path, corpus: Any) -> None:
    _, vocabulary, train, test = corpus
    model = estimate(*encode(train, vocabulary), len(vocabulary), NgramOptions(order=5))
    path = tmp_path / "a.arpa"
    write_arpa(model, vocabulary.tokens, path)
    assert largest_difference(kenlm, path, model, list(vocabulary.tokens), share=0.1) < CLOSE
    wanted = kenlm_scores(kenlm, path, [" ".join(line) for line in test])
    assert model.score(*encode(test, vocabulary)) == pytest.approx(wanted, abs=CLOSE)
