"""Translation of lines: batches that do not fit into memory, constant memory, unknown words, alignment links."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.raising import raises
from tests.tiny_models import SIZE, tokenizer, translator, vocabulary

from rnnkit.decoding import translate
from rnnkit.decoding.constraint_files import ConstraintFiles, ConstraintReader, read_constraints
from rnnkit.decoding.constraints import UNCONSTRAINED, Constraints
from rnnkit.decoding.rescoring import score_pairs
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchHypothesis, SearchOptions
from rnnkit.decoding.translate import (
    TranslationOptions,
    detokenize_outputs,
    format_pharaoh,
    replace_unknown,
    search_batches,
    translate_lines,
)
from rnnkit.decoding.translator import TranslationEnsemble, split_on_oom
from rnnkit.errors import DataError
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import special_tokens
from rnnkit.text.tokenizer import FeaturedTokenizer

LINES = ("the king sat", "", "a dog ran on the mat", "Zzz yyy", "the cat", "i am very very hungry")


def model(seed: int = 1, **changes: Any) -> LoadedSeq2Seq:
    table = vocabulary()
    network = translator(seed=seed, spread=1.0, **changes)
    return LoadedSeq2Seq(Path("m"), network, tokenizer("words"), table, table, ("de", "en"), {})


def as_sources(lines: Sequence[str]) -> list[tuple[str, Constraints]]:
    return [(line, UNCONSTRAINED) for line in lines]


def translated(options: TranslationOptions, **changes: Any) -> list[translate.TranslatedLine]:
    return list(translate_lines(TranslationEnsemble((model(),)), as_sources(LINES), options, **changes))


def test_batches_are_divided_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def count(
        translator: TranslationEnsemble, sentences: Sequence[Any], options: TranslationOptions
    ) -> list[list[SearchHypothesis]]:
        sizes.append(len(sentences))
        return [[] for _ in sentences]

    monkeypatch.setattr(translate, "_search_batch", count)
    sources = [[4, 5, 6]] * 80
    search_batches(
        TranslationEnsemble((model(),)), sources, [UNCONSTRAINED] * 80, TranslationOptions(SearchOptions(), 4096)
    )
    assert sizes == [80]
    sizes.clear()
    search_batches(
        TranslationEnsemble((model(),)),
        sources,
        [UNCONSTRAINED] * 80,
        TranslationOptions(SearchOptions(), 4096, workers=2),
    )
    assert sizes == [10] * 8
    sizes.clear()
    search_batches(
        TranslationEnsemble((model(),)),
        sources[:2],
        [UNCONSTRAINED] * 2,
        TranslationOptions(SearchOptions(), 4096, workers=2),
    )
    assert sizes == [1, 1]


@pytest.mark.parametrize("sampling", [None, SamplingOptions(), SamplingOptions(temperature=2.0, top_k=7, top_p=0.8)])
@pytest.mark.parametrize("keep_attention", [False, True])
def test_result_is_independent_of_batches_and_blocks(sampling: SamplingOptions | None, keep_attention: bool) -> None:
    search = SearchOptions(beam=3, nbest=3, allow_unknown=True)
    wanted = translated(TranslationOptions(search, 1, keep_attention, sampling=sampling, seed=4))
    assert [len(one.hypotheses) for one in wanted] == [3, 0, 3, 3, 3, 3]
    for batch_tokens, block_lines in ((1000, 2000), (12, 4), (1000, 1)):
        options = TranslationOptions(search, batch_tokens, keep_attention, sampling=sampling, seed=4)
        got = translated(options, block_lines=block_lines)
        assert [one.outputs for one in got] == [one.outputs for one in wanted]
        for left, right in zip(got, wanted, strict=True):
            for one, other in zip(left.hypotheses, right.hypotheses, strict=True):
                assert one.score == pytest.approx(other.score, abs=1e-4)
                assert (one.attention is None) == (not keep_attention)
                if one.attention is not None:
                    assert one.attention.shape == (len(one.ids) + 1, len(left.source) + 1)
                    torch.testing.assert_close(one.attention, other.attention, atol=1e-4, rtol=0)


def test_samples_depend_on_seed_and_line_number() -> None:
    """The same prompt on another line, or with another seed, has other samples."""
    options = TranslationOptions(SearchOptions(nbest=2), 100, sampling=SamplingOptions(temperature=3.0), seed=1)
    first = translated(options)
    assert [one.outputs for one in translated(options, first_line=2)] != [one.outputs for one in first]
    tail = list(translate_lines(TranslationEnsemble((model(),)), as_sources(LINES[3:]), options, first_line=4))
    assert [one.outputs for one in tail] == [one.outputs for one in first[3:]]
    other = TranslationOptions(options.search, 100, sampling=options.sampling, seed=2)
    assert [one.outputs for one in translated(other)] != [one.outputs for one in first]


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_batch_that_does_not_fit_is_split(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TranslationOptions(SearchOptions(beam=2), 1000)
    wanted = translated(options)
    begin, sizes = TranslationEnsemble.start_batch, []

    def cramped(self: TranslationEnsemble, source_BS: torch.Tensor, lengths_B: torch.Tensor) -> Any:
        sizes.append(len(lengths_B))
        if len(lengths_B) > 2:
            raise failure
        return begin(self, source_BS, lengths_B)

    monkeypatch.setattr(TranslationEnsemble, "start_batch", cramped)
    assert [one.outputs for one in translated(options)] == [one.outputs for one in wanted]
    assert sizes == [5, 2, 3, 1, 2]


def test_line_that_does_not_fit_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(self: TranslationEnsemble, source_BS: torch.Tensor, lengths_B: torch.Tensor) -> Any:
        if source_BS.shape[1] > 4:
            raise MemoryError
        return begin(self, source_BS, lengths_B)

    begin = TranslationEnsemble.start_batch
    monkeypatch.setattr(TranslationEnsemble, "start_batch", cramped)
    with raises(DataError, "line 3", "6 tokens", "beam of 5", "--beam", "--max-length", line=3):
        list(
            translate_lines(
                TranslationEnsemble((model(),)), as_sources(LINES[:3]), TranslationOptions(SearchOptions(), 1000)
            )
        )
    with raises(DataError, "line 9", "9 tokens", line=9):
        score_pairs(TranslationEnsemble((model(),)), [[4], [4] * 9], [[5], [5]], first_line=8)


def test_other_errors_are_not_out_of_memory() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        split_on_oom(work, [1, 2, 3], lambda item: DataError(f"{item} is too large"))
    assert not is_out_of_memory(RuntimeError("shapes"))


def test_memory_is_independent_of_the_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        translate, "_search_batch", lambda _, many, __: [[SearchHypothesis((4, 5), -1.0, -0.3)] for _ in many]
    )
    options = TranslationOptions(SearchOptions(), 1000)

    def peak(count: int) -> int:
        lines = ((f"the king sat on the mat {number % 10}", UNCONSTRAINED) for number in range(count))
        tracemalloc.start()
        for _ in translate_lines(TranslationEnsemble((model(),)), lines, options, block_lines=50):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    few, many = peak(2000), peak(8000)
    assert many < few + 50_000, "6,000 lines more take less than 9 bytes each"


def test_unknown_and_empty_sources_have_outputs() -> None:
    found = translated(TranslationOptions(SearchOptions(beam=3), 100))
    assert found[3].source == ("zzz", "yyy") or found[3].source == ("Zzz", "yyy")
    assert len(found[3].outputs) == 1
    assert (found[1].source, found[1].outputs, found[1].hypotheses) == ((), ("",), ())


def test_constrained_empty_source_is_translated() -> None:
    constraints = Constraints(prefix=(5, 6), sequences=((7,),))
    ((one,),) = search_batches(
        TranslationEnsemble((model(),)), [[]], [constraints], TranslationOptions(SearchOptions(), 100)
    )
    assert one.ids[:2] == (5, 6)
    assert 7 in one.ids


def test_source_features_are_encoded_but_not_output() -> None:
    here = replace(model(), tokenizer=FeaturedTokenizer(tokenizer("words")))
    options = TranslationOptions(SearchOptions(beam=2, max_length=4), 100, keep_attention=True)
    lines = as_sources(["the king\tV;the", "\tV", "\t"])
    king, alone, empty = translate_lines(TranslationEnsemble((here,)), lines, options)
    assert king.source == ("␉V", "␉the", "the", "king")
    assert (alone.source, empty.source, empty.outputs) == (("␉V",), (), ("",))
    for hypothesis in king.hypotheses:
        assert hypothesis.attention is not None
        assert hypothesis.attention.shape[1] == len(king.source) + 1
    hypothesis = replace(
        king.hypotheses[0], ids=(here.target_vocabulary.ids["the"], special_tokens.UNK, special_tokens.UNK)
    )
    spelled = detokenize_outputs(
        here, ("␉V", "king"), [replace(hypothesis, attention=torch.eye(4))], replace(options, replace_unknown=True)
    )
    assert spelled.outputs == ("the king king",)


def test_unknown_words_are_replaced_in_text_and_tokens() -> None:
    here = model()
    with torch.no_grad():
        here.network.output_bias[special_tokens.UNK] = 50.0
    search = SearchOptions(beam=2, allow_unknown=True, max_length=4)
    options = TranslationOptions(search, 100, keep_attention=True, replace_unknown=True)
    (one,) = translate_lines(TranslationEnsemble((here,)), as_sources(["Brno Brno"]), options)
    assert set(one.tokens[0]) == set(one.source)
    assert "<unk>" not in one.outputs[0]
    with_lexicon = replace(options, lexicon={"Brno": "Brünn"})
    (one,) = translate_lines(TranslationEnsemble((here,)), as_sources(["Brno Brno"]), with_lexicon)
    assert set(one.tokens[0]) == {"Brünn"}
    assert set(one.outputs[0].split()) == {"Brünn"}
    (one,) = translate_lines(
        TranslationEnsemble((here,)), as_sources(["Brno Brno"]), replace(with_lexicon, replace_unknown=False)
    )
    assert set(one.tokens[0]) == {"<unk>"}


def test_lines_are_read_lazily(tmp_path: Path) -> None:
    taken = []

    def lines() -> Iterator[str]:
        for line in LINES:
            taken.append(line)
            yield line

    some = read_constraints(ConstraintReader(model(), ConstraintFiles()), lines())
    next(
        translate_lines(
            TranslationEnsemble((model(),)), some, TranslationOptions(SearchOptions(beam=1), 100), block_lines=1
        )
    )
    assert len(taken) == 1


def test_pair_scores_are_independent_of_batches() -> None:
    sources, targets = [[4, 5], [], [6] * 7, [1, 1]], [[5, 4, 4], [9], [], [1, 7]]
    pair = TranslationEnsemble((model(),))
    together = score_pairs(pair, sources, targets)
    for source, target, wanted in zip(sources, targets, together, strict=True):
        (alone,) = score_pairs(pair, [source], [target])
        assert len(alone) == len(target) + 1
        np.testing.assert_allclose(alone, wanted, atol=1e-5)
    assert all((row < 0).all() for row in together)
    assert together[0].sum() > -4 * np.log(SIZE) * 10


def test_links_follow_the_greatest_attention() -> None:
    attention_TS = torch.tensor([[0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, 5), -1.0, -1.0, attention_TS)
    assert format_pharaoh(one, 2) == "1-0 0-1"
    is_feature = tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "mat"), ("das", "Haus"), is_feature) == ("Haus", "mat")
    assert (format_pharaoh(one, 0), replace_unknown(one, ("<unk>", "mat"), (), is_feature)) == ("", ("<unk>", "mat"))


def test_features_in_links_and_replacements() -> None:
    attention_TS = torch.tensor([[0.6, 0.1, 0.3, 0.0], [0.1, 0.5, 0.4, 0.0], [0.0, 0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, special_tokens.UNK), -1.0, -1.0, attention_TS)
    is_feature = FeaturedTokenizer(tokenizer("words")).is_feature
    assert format_pharaoh(one, 3) == "0-0 1-1"
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "das", "␉␉"), is_feature) == ("␉␉", "das")
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "␉PST", "␉2"), is_feature) == ("<unk>", "<unk>")


def test_token_without_attention_repeats_the_last_link() -> None:
    attention_TS = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.7, 0.2], [0.0, 0.0, 0.3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert format_pharaoh(SearchHypothesis((5, 6, 7, 8), -1.0, -1.0, attention_TS), 2) == "0-0 1-1 1-2 1-3"


def test_lexicon_translates_unknown_words() -> None:
    """Source tokens missing from the lexicon are copied; known words stay."""
    attention_TS = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    one = SearchHypothesis((special_tokens.UNK, special_tokens.UNK, 5), -1.0, -1.0, attention_TS)
    lexicon, is_feature = {"Haus": "house", "mat": "Matte"}, tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), ("das", "Haus"), is_feature, lexicon) == (
        "house",
        "das",
        "mat",
    )
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), (), is_feature, lexicon) == ("<unk>", "<unk>", "mat")
