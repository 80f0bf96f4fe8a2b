"""Comparison with KenLM: it reads what rnnkit writes, rejects what rnnkit rejects, and estimates the same models."""

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

from rnnkit.ngrams import ngram_counts, smoothing
from rnnkit.ngrams.arpa_reader import read_arpa
from rnnkit.ngrams.arpa_writer import ngram_words, write_arpa
from rnnkit.ngrams.ngram_counts import adjust_counts, count_ngrams
from rnnkit.ngrams.ngram_estimation import build_model, estimate_ngram_model, prepare_text
from rnnkit.ngrams.ngram_model import BackoffModel
from rnnkit.ngrams.options import NgramOptions
from rnnkit.text.special_tokens import BOS, EOS, NAMES, PAD
from rnnkit.text.vocabulary import Vocabulary

from .samples import TOKENS, make_model, random_lines
from .test_arpa_reader import FAULTS, VARIANTS

CLOSE = 1e-5
"""Tolerance of base-10 logarithms."""

ACCEPTED_BY_KENLM = ("\t-inf\n", "-1e99\t", "-0.1 <s> the", "-0.3\t<s> the")
"""Text of faults that KenLM accepts: it splits entries at any blank, and does not look for duplicate n-grams."""


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


def largest_difference(kenlm: Any, path: Path, model: BackoffModel, tokens: list[str], share: float = 1.0) -> float:
    """Return the largest difference to KenLM's log10 probabilities, over the n-grams of a share of the contexts."""
    other = kenlm.Model(str(path))
    random = np.random.default_rng(1)
    largest = 0.0
    for order in range(model.order):
        node_N = np.arange(model.order_begins[order], model.order_begins[order + 1])
        node_N = node_N[(order == 0) | (random.random(len(node_N)) < share)]
        node_N = node_N[model.first_child_I1[node_N] < model.first_child_I1[node_N + 1]]
        for node, context in zip(node_N.tolist(), ngram_words(model, node_N, order).tolist(), strict=True):
            state, after = kenlm_state(kenlm, other, [tokens[word] for word in context]), kenlm.State()
            for child in range(model.first_child_I1[node], model.first_child_I1[node + 1]):
                if model.word_A[child] not in (PAD, BOS):
                    log10 = other.BaseScore(state, tokens[model.word_A[child]], after)
                    largest = max(largest, abs(log10 - float(model.log10_A[child])))
    return largest


def kenlm_state(kenlm: Any, model: Any, context: list[str]) -> Any:
    """Return KenLM's state after a context."""
    state, before = kenlm.State(), kenlm.State()
    model.NullContextWrite(state)
    if context[:1] == ["<s>"]:
        model.BeginSentenceWrite(state)
    for word in context[context[:1] == ["<s>"] :]:
        state, before = before, state
        model.BaseScore(before, word, state)
    return state


def kenlm_scores(kenlm: Any, path: Path, lines: list[str]) -> NDArray[np.float64]:
    """Return KenLM's natural log-probabilities of all tokens, EOS included."""
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
    model, _ = read_arpa(tmp_path / "a.arpa")  # with -99 for the logarithm of 0
    assert largest_difference(kenlm, tmp_path / "a.arpa", model, TOKENS) < CLOSE


@pytest.mark.parametrize("order", [2, 3, 5])
def test_kenlm_scores_equally(kenlm: Any, tmp_path: Path, order: int) -> None:
    model = make_model(order=order)
    write_arpa(model, TOKENS, tmp_path / "a.arpa.gz")
    lines = [[TOKENS[word] for word in line[:-1]] for line in random_lines(seed=9)] + [["what", "the", "cat", "saw"]]
    vocabulary = Vocabulary(tuple(TOKENS), (0,) * len(TOKENS))
    expected = kenlm_scores(kenlm, tmp_path / "a.arpa.gz", [" ".join(line) for line in lines])
    assert model.score(*encode(lines, vocabulary)) == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("text", [text for text, _, _ in FAULTS])
def test_kenlm_rejects_the_same_faults(kenlm: Any, tmp_path: Path, text: str) -> None:
    """`test_arpa_reader` tests that rnnkit rejects them; this compares the list with KenLM."""
    (tmp_path / "a.arpa").write_text(text, encoding="utf-8")
    if any(part in text for part in ACCEPTED_BY_KENLM):
        return
    with pytest.raises(OSError, match=r"a\.arpa"):
        kenlm.Model(str(tmp_path / "a.arpa"))


@pytest.mark.parametrize("text", [text for text in VARIANTS if not text.startswith("\ufeff")])
def test_kenlm_accepts_the_same_variants(kenlm: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.arpa").write_bytes(text.encode())
    assert kenlm.Model(str(tmp_path / "a.arpa")).order == 3


def run_lmplz(lmplz: str, text: str, folder: Path, order: int, prune: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Write `lmplz.arpa`; return the discounts of each order."""
    thresholds = map(str, prune or (0,))
    command = [lmplz, "-o", str(order), "-S", "500M", "-T", str(folder), "--discount_fallback", "--prune", *thresholds]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=300)
    (folder / "lmplz.arpa").write_bytes(done.stdout)
    reported = re.findall(r"^\d+ \d\S* D1=(\S+) D2=(\S+) D3\+=(\S+)", done.stderr.decode(), re.MULTILINE)
    return [tuple(map(float, discounts)) for discounts in reported]


def table(model: BackoffModel, tokens: list[str]) -> dict[str, tuple[float, float]]:
    """Return base-10 log-probabilities and log back-off weights of all n-grams but <pad>."""
    found = {}
    for order in range(1, model.order + 1):
        node_N = np.arange(model.order_begins[order], model.order_begins[order + 1])
        backoff_N = model.backoff_I[node_N].tolist() if order < model.order else [0.0] * len(node_N)
        rows = zip(ngram_words(model, node_N, order).tolist(), model.log10_A[node_N].tolist(), backoff_N, strict=True)
        for words, log10, backoff in rows:
            if words != [PAD]:
                found[" ".join(tokens[word] for word in words)] = log10, backoff
    return found


def estimate_with(
    discounts: Any, lines: list[list[int]], size: int, order: int, prune: tuple[int, ...]
) -> BackoffModel:
    """Estimate a model with given discounts: those of lmplz differ slightly (see `smoothing.estimate_discounts`)."""
    ids, offsets = np.concatenate(lines).astype(np.int32), np.cumsum([0, *map(len, lines)])
    levels = list(count_ngrams(prepare_text(ids, offsets, size), size, order))
    kept = ngram_counts.prune(levels, NgramOptions(order=order, prune=prune).thresholds())
    predictable_V = np.ones(size, dtype=np.bool_)
    predictable_V[[PAD, BOS]] = False
    weights = smoothing.modified_kneser_ney(levels, adjust_counts(levels), kept, discounts, predictable_V)
    return build_model(levels, kept, weights, size, {})


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
    expected = table(model, tokens)
    found = table(estimate_with(discounts, lines, 30, order, prune), words)
    assert found.keys() == expected.keys()
    for ngram, pair in expected.items():
        assert found[ngram] == pytest.approx(pair, abs=2 * CLOSE), ngram  # lmplz reports six digits of a discount


CORPORA = {
    "ptb": ("ptb/ptb.{}.txt.gz", 82_430, {3: 148.281, 5: 141.186}),
    "wikitext-2": ("wikitext-2/wiki.{}.tokens.gz", 245_569, {3: 226.051, 5: 220.139}),
}
"""Files, number of tokens of the test split, and its perplexity by order according to `lmplz` and `query`."""


def load(corpora: Path, name: str, part: str) -> list[list[str]]:
    with gzip.open(corpora / CORPORA[name][0].format(part), "rt", encoding="utf-8", newline="\n") as file:
        # KenLM rejects a text that contains its own symbol for unknown words.
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
    model = estimate_ngram_model(*encode(train, vocabulary), len(vocabulary), NgramOptions(order=order))
    log_p = model.score(*encode(test, vocabulary))
    assert len(log_p) == tokens
    assert math.exp(-log_p.mean()) == pytest.approx(perplexities[order], abs=0.002)


@pytest.mark.slow
def test_kenlm_reads_the_probabilities_of_a_benchmark(kenlm: Any, tmp_path: Path, corpus: Any) -> None:
    _, vocabulary, train, test = corpus
    model = estimate_ngram_model(*encode(train, vocabulary), len(vocabulary), NgramOptions(order=5))
    path = tmp_path / "a.arpa"
    write_arpa(model, vocabulary.tokens, path)
    assert largest_difference(kenlm, path, model, list(vocabulary.tokens), share=0.1) < CLOSE
    expected = kenlm_scores(kenlm, path, [" ".join(line) for line in test])
    assert model.score(*encode(test, vocabulary)) == pytest.approx(expected, abs=CLOSE)
