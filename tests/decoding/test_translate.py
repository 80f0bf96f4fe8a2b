"""Lines in, lines out: what is asked of each, batches that do not fit, memory that does not grow, unknown words."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_models import SIZE, tokenizer, translator, vocabulary

from rnnkit.decoding import translate
from rnnkit.decoding.attention_alignment import format_pharaoh, replace_unknown
from rnnkit.decoding.batch_execution import split_on_oom
from rnnkit.decoding.constraints.constraint_files import ConstraintFiles, ConstraintReader, read_constraints
from rnnkit.decoding.constraints.token_constraints import UNCONSTRAINED, Constraints
from rnnkit.decoding.rescoring import score_pairs
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import Hypothesis, SearchOptions
from rnnkit.decoding.translate import TranslationOptions, detokenize_outputs, search_batches, translate_lines
from rnnkit.decoding.translator import Translator
from rnnkit.errors import DataError
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.nn.device import is_out_of_memory
from rnnkit.text import special_tokens
from rnnkit.text.tokenizers.features import FeaturedTokenizer

LINES = ("the king sat", "", "a dog ran on the mat", "Zzz yyy", "the cat", "i am very very hungry")


def model(seed: int = 1, **changes: Any) -> LoadedSeq2Seq:
    table = vocabulary()
    network = translator(seed=seed, spread=1.0, **changes)
    return LoadedSeq2Seq(Path("m"), network, tokenizer("words"), table, table, ("de", "en"), {})


def asked(lines: Sequence[str]) -> list[tuple[str, Constraints]]:
    return [(line, UNCONSTRAINED) for line in lines]


def translated(options: TranslationOptions, **changes: Any) -> list[translate.TranslatedLine]:
    return list(translate_lines(Translator((model(),)), asked(LINES), options, **changes))


def test_every_worker_has_batches_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def count(translator: Translator, sentences: Sequence[Any], options: TranslationOptions) -> list[list[Hypothesis]]:
        sizes.append(len(sentences))
        return [[] for _ in sentences]

    monkeypatch.setattr(translate, "_search", count)
    sources = [[4, 5, 6]] * 80
    search_batches(Translator((model(),)), sources, [UNCONSTRAINED] * 80, TranslationOptions(SearchOptions(), 4096))
    assert sizes == [80]
    sizes.clear()
    search_batches(
        Translator((model(),)), sources, [UNCONSTRAINED] * 80, TranslationOptions(SearchOptions(), 4096, workers=2)
    )
    assert sizes == [10] * 8
    sizes.clear()
    search_batches(
        Translator((model(),)), sources[:2], [UNCONSTRAINED] * 2, TranslationOptions(SearchOptions(), 4096, workers=2)
    )
    assert sizes == [1, 1]


@pytest.mark.parametrize("sampling", [None, SamplingOptions(), SamplingOptions(temperature=2.0, top_k=7, top_p=0.8)])
@pytest.mark.parametrize("keep_attention", [False, True])
def test_batches_and_blocks_change_nothing(sampling: SamplingOptions | None, keep_attention: bool) -> None:
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


def test_what_is_drawn_depends_on_the_seed_and_the_number_of_the_line() -> None:
    options = TranslationOptions(SearchOptions(nbest=2), 100, sampling=SamplingOptions(temperature=3.0), seed=1)
    first = translated(options)
    assert [one.outputs for one in translated(options, first_line=2)] != [one.outputs for one in first]
    tail = list(translate_lines(Translator((model(),)), asked(LINES[3:]), options, first_line=4))
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
def test_a_batch_that_does_not_fit_is_halved(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TranslationOptions(SearchOptions(beam=2), 1000)
    wanted = translated(options)
    begin, sizes = Translator.begin, []

    def cramped(self: Translator, source_BS: torch.Tensor, lengths_B: torch.Tensor) -> Any:
        sizes.append(len(lengths_B))
        if len(lengths_B) > 2:
            raise failure
        return begin(self, source_BS, lengths_B)

    monkeypatch.setattr(Translator, "begin", cramped)
    assert [one.outputs for one in translated(options)] == [one.outputs for one in wanted]
    assert sizes == [5, 2, 3, 1, 2]


def test_a_line_that_does_not_fit_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(self: Translator, source_BS: torch.Tensor, lengths_B: torch.Tensor) -> Any:
        if source_BS.shape[1] > 4:
            raise MemoryError
        return begin(self, source_BS, lengths_B)

    begin = Translator.begin
    monkeypatch.setattr(Translator, "begin", cramped)
    with pytest.raises(DataError, match=r"line 3 does not fit into memory\n  it has 6 tokens, .* with a beam of 5\n"):
        list(translate_lines(Translator((model(),)), asked(LINES[:3]), TranslationOptions(SearchOptions(), 1000)))
    with pytest.raises(DataError, match="line 9 does not fit into memory"):
        score_pairs(Translator((model(),)), [[4], [4] * 9], [[5], [5]], first_line=8)


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    def work(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        split_on_oom(work, [1, 2, 3])
    assert not is_out_of_memory(RuntimeError("shapes"))


def test_memory_does_not_grow_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        translate, "_search_batch", lambda _, many, __: [[Hypothesis((4, 5), -1.0, -0.3)] for _ in many]
    )
    options = TranslationOptions(SearchOptions(), 1000)

    def peak(count: int) -> int:
        lines = ((f"the king sat on the mat {number % 10}", UNCONSTRAINED) for number in range(count))
        tracemalloc.start()
        for _ in translate_lines(Translator((model(),)), lines, options, block_lines=50):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    few, many = peak(2000), peak(8000)
    assert many < few + 50_000, "6,000 lines more take less than 9 bytes each"


def test_a_source_of_unknown_words_and_one_without_any_have_their_lines() -> None:
    found = translated(TranslationOptions(SearchOptions(beam=3), 100))
    assert found[3].source == ("zzz", "yyy") or found[3].source == ("Zzz", "yyy")
    assert len(found[3].outputs) == 1
    assert (found[1].source, found[1].outputs, found[1].hypotheses) == ((), ("",), ())


def test_an_empty_source_of_which_something_is_asked_is_translated() -> None:
    wish = Constraints(prefix=(5, 6), phrases=((7,),))
    ((one,),) = search_batches(Translator((model(),)), [[]], [wish], TranslationOptions(SearchOptions(), 100))
    assert one.ids[:2] == (5, 6)
    assert 7 in one.ids


def test_links_go_from_each_output_token_to_what_it_looked_at_most() -> None:
    look_TS = torch.tensor([[0.1, 0.7, 0.2], [0.2, 0.1, 0.7], [0.0, 0.0, 1.0]])
    one = Hypothesis((special_tokens.UNK, 5), -1.0, -1.0, look_TS)
    assert format_pharaoh(one, 2) == "1-0 0-1"
    is_feature = tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "mat"), ("das", "Haus"), is_feature) == ("Haus", "mat")
    assert (format_pharaoh(one, 0), replace_unknown(one, ("<unk>", "mat"), (), is_feature)) == ("", ("<unk>", "mat"))


def test_no_unknown_word_becomes_a_feature_and_links_count_features() -> None:
    look_TS = torch.tensor([[0.6, 0.1, 0.3, 0.0], [0.1, 0.5, 0.4, 0.0], [0.0, 0.0, 0.0, 1.0]])
    one = Hypothesis((special_tokens.UNK, special_tokens.UNK), -1.0, -1.0, look_TS)
    is_feature = FeaturedTokenizer(tokenizer("words")).is_feature
    assert format_pharaoh(one, 3) == "0-0 1-1"
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "das", "␉␉"), is_feature) == ("␉␉", "das")
    assert replace_unknown(one, ("<unk>", "<unk>"), ("␉V", "␉PST", "␉2"), is_feature) == ("<unk>", "<unk>")


def test_features_are_read_before_the_text_and_never_written() -> None:
    here = replace(model(), tokenizer=FeaturedTokenizer(tokenizer("words")))
    options = TranslationOptions(SearchOptions(beam=2, max_length=4), 100, keep_attention=True)
    lines = asked(["the king\tV;the", "\tV", "\t"])
    king, alone, empty = translate_lines(Translator((here,)), lines, options)
    assert king.source == ("␉V", "␉the", "the", "king")
    assert (alone.source, empty.source, empty.outputs) == (("␉V",), (), ("",))
    for hypothesis in king.hypotheses:
        assert hypothesis.attention is not None
        assert hypothesis.attention.shape[1] == len(king.source) + 1
    said = replace(king.hypotheses[0], ids=(here.target_vocabulary.ids["the"], special_tokens.UNK, special_tokens.UNK))
    spelled = detokenize_outputs(
        here, ("␉V", "king"), [replace(said, attention=torch.eye(4))], replace(options, replace_unknown=True)
    )
    assert spelled.outputs == ("the king king",)


def test_a_token_that_looked_at_nothing_has_the_link_of_the_one_before() -> None:
    look_TS = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.7, 0.2], [0.0, 0.0, 0.3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert format_pharaoh(Hypothesis((5, 6, 7, 8), -1.0, -1.0, look_TS), 2) == "0-0 1-1 1-2 1-3"


def test_a_lexicon_translates_what_was_looked_at_where_it_knows_it_and_known_words_stay() -> None:
    look_TS = torch.tensor([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    one = Hypothesis((special_tokens.UNK, special_tokens.UNK, 5), -1.0, -1.0, look_TS)
    lexicon, is_feature = {"Haus": "house", "mat": "Matte"}, tokenizer("words").is_feature
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), ("das", "Haus"), is_feature, lexicon) == (
        "house",
        "das",
        "mat",
    )
    assert replace_unknown(one, ("<unk>", "<unk>", "mat"), (), is_feature, lexicon) == ("<unk>", "<unk>", "mat")


def test_unknown_words_are_replaced_in_text_and_tokens() -> None:
    here = model()
    with torch.no_grad():
        here.network.output_bias[special_tokens.UNK] = 50.0
    search = SearchOptions(beam=2, allow_unknown=True, max_length=4)
    options = TranslationOptions(search, 100, keep_attention=True, replace_unknown=True)
    (one,) = translate_lines(Translator((here,)), asked(["Brno Brno"]), options)
    assert set(one.tokens[0]) == set(one.source)
    assert "<unk>" not in one.outputs[0]
    told = replace(options, lexicon={"Brno": "Brünn"})
    (one,) = translate_lines(Translator((here,)), asked(["Brno Brno"]), told)
    assert set(one.tokens[0]) == {"Brünn"}
    assert set(one.outputs[0].split()) == {"Brünn"}
    (one,) = translate_lines(Translator((here,)), asked(["Brno Brno"]), replace(told, replace_unknown=False))
    assert set(one.tokens[0]) == {"<unk>"}


def read(
    tmp_path: Path,
    lines: Iterable[str],
    prefixes: str | None = None,
    phrases: str | None = None,
    sequences: str | None = None,
    skip: int = 0,
    **options: Any,
) -> list[Constraints]:
    paths: list[Path | None] = []
    for name, text in (("p", prefixes), ("c", phrases), ("t", sequences)):
        paths.append(None if text is None else tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
    return [
        wish for _, wish in read_constraints(ConstraintReader(model(), ConstraintFiles(*paths)), lines, skip, **options)
    ]


def texts(wishes: Sequence[Constraints]) -> list[list[str]]:
    return [[phrase.text for phrase in wish.texts] for wish in wishes]


def test_wishes_are_read_line_by_line(tmp_path: Path) -> None:
    ids = vocabulary().ids
    found = read(tmp_path, "abc", "the king\n\n\n", "cat\tthe  mat\tcat\n\nsat\n", "\n￭. the\tking\n\n")
    assert [wish.prefix for wish in found] == [(ids["the"], ids["king"]), (), ()]
    assert texts(found) == [["cat", "the mat"], [], ["sat"]]
    assert [one.ids for one in found[0].texts[1].spellings] == [(ids["the"], ids["mat"])]
    assert [wish.phrases for wish in found] == [(), ((ids["￭."], ids["the"]), (ids["king"],)), ()]
    assert read(tmp_path, ["a", "b"], "nonsense\nthe\n", skip=1) == [Constraints((ids["the"],))]
    assert read(tmp_path, ["a", "b"]) == [UNCONSTRAINED, UNCONSTRAINED]


@pytest.mark.parametrize(
    ("prefixes", "phrases", "message"),
    [
        ("the\n", None, r"p ends with line 1, the text has more"),
        ("the\n\nsat\n", None, r"p:3: the text has no such line\n  it ends with line 2"),
        ("\nthe Ruritania\n", None, r"p:2: the prefix 'the Ruritania' has 'Ruritania', which the target vocabulary"),
        (None, "cat\tRuritania\n\n", r"c:1: the phrase 'Ruritania' has 'Ruritania', which the target vocabulary"),
    ],
)
def test_wishes_that_cannot_be_are_named_by_line(
    tmp_path: Path, prefixes: str | None, phrases: str | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, ["a", "b"], prefixes, phrases)


UNKNOWN: dict[str, dict[str, str]] = {
    "prefix": {"prefixes": "a\nX\nthe Y\n\nX\n"},
    "phrase": {"phrases": "a\nX\nking\tY\n\nX\n"},
    "sequence": {"sequences": "a\nX\nking\tthe Y\n\nX\n"},
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_all_that_cannot_be_written_is_named_before_the_first_line(tmp_path: Path, name: str) -> None:
    def lines() -> Iterator[str]:
        raise AssertionError("no line is needed")
        yield ""

    with pytest.raises(DataError, match="skip-impossible") as caught:
        read(tmp_path, lines(), **UNKNOWN[name])  # type: ignore[arg-type]
    (file,) = tmp_path.iterdir()
    assert [line.split(": ")[:2] for line in (caught.value.what, *caught.value.details)] == [
        [f"{file}:{number}", f"the {name} {unknown!r} has {unknown[-1]!r}, which the target vocabulary does not know"]
        for number, unknown in ((2, "X"), (3, "the Y" if name != "phrase" else "Y"), (5, "X"))
    ]


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_written_can_be_left_out_and_is_counted(tmp_path: Path, name: str) -> None:
    heard: list[Any] = []
    found = read(tmp_path, "abcde", **UNKNOWN[name], lenient=True, listen=heard.append)  # type: ignore[arg-type]
    assert [one.text.partition(" were")[0] for one in heard] == ["3 prefixes and constraints"]
    assert [wish != UNCONSTRAINED for wish in found] == [True, False, name != "prefix", False, False]


def test_of_many_that_cannot_be_written_a_few_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["a"] * 9, phrases="".join(f"X{line}\n" for line in range(9)))
    assert len(caught.value.details) == 5
    assert caught.value.details[-1] == "and 4 more"


def test_demands_through_a_pipe_are_judged_line_by_line(tmp_path: Path) -> None:
    def through(lenient: bool, heard: list[Any]) -> Iterator[Constraints]:
        pipe = tmp_path / f"pipe{lenient}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=("cat\nX\nking\n",))
        writer.start()
        demands = ConstraintReader(model(), ConstraintFiles(None, pipe))
        for _, wish in read_constraints(demands, ["a", "b", "c"], lenient=lenient, listen=heard.append):
            yield wish
        writer.join()

    heard: list[Any] = []
    assert texts(list(through(True, heard))) == [["cat"], [], ["king"]]
    assert len(heard) == 1
    strict = through(False, heard)
    assert texts([next(strict)]) == [["cat"]]
    with pytest.raises(DataError, match=r":2: the phrase 'X' has 'X'"):
        next(strict)


def test_what_the_vocabulary_lacks_can_be_asked_for_where_it_can_be_copied(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("the Brno\nthe Brno\n", encoding="utf-8")
    (tmp_path / "c").write_text("Brno cat\n\n", encoding="utf-8")
    demands = ConstraintReader(model(copy=True), ConstraintFiles(tmp_path / "p", tmp_path / "c"), copies=True)
    lines = ["a Wien Brno", "a Brno"]
    (_, first), (_, second) = read_constraints(demands, lines, again=lambda: lines)
    assert (first.prefix[1], second.prefix[1]) == (SIZE + 1, SIZE)
    assert [one.ids for one in first.texts[0].spellings] == [(SIZE + 1, vocabulary().ids["cat"])]
    lines[1] = "a Wien"
    with pytest.raises(DataError, match=r"p:2: the prefix 'the Brno' has 'Brno'"):
        next(read_constraints(demands, lines, again=lambda: lines))


def test_features_of_a_prefix_that_cannot_be_read_are_named_by_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("the\nthe\ta\tb\n", encoding="utf-8")
    here = replace(model(), tokenizer=FeaturedTokenizer(tokenizer("words")))
    with pytest.raises(DataError, match=r"p:2: the line has 2 TABs"):
        list(read_constraints(ConstraintReader(here, ConstraintFiles(tmp_path / "p")), ["a", "b"]))


def test_lines_are_not_read_before_they_are_needed(tmp_path: Path) -> None:
    taken = []

    def lines() -> Iterator[str]:
        for line in LINES:
            taken.append(line)
            yield line

    some = read_constraints(ConstraintReader(model(), ConstraintFiles()), lines())
    next(translate_lines(Translator((model(),)), some, TranslationOptions(SearchOptions(beam=1), 100), block_lines=1))
    assert len(taken) == 1


def test_pairs_are_scored_alike_in_every_batch() -> None:
    sources, targets = [[4, 5], [], [6] * 7, [1, 1]], [[5, 4, 4], [9], [], [1, 7]]
    pair = Translator((model(),))
    together = score_pairs(pair, sources, targets)
    for source, target, wanted in zip(sources, targets, together, strict=True):
        (alone,) = score_pairs(pair, [source], [target])
        assert len(alone) == len(target) + 1
        np.testing.assert_allclose(alone, wanted, atol=1e-5)
    assert all((row < 0).all() for row in together)
    assert together[0].sum() > -4 * np.log(SIZE) * 10
