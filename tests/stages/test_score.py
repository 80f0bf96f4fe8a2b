"""The stage on tiny models of every kind: figures, mixtures, caches, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import tiny_models
from tests.raising import raises

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.evaluation import lm_scorer
from rnnkit.evaluation.perplexity import make_evaluator
from rnnkit.evaluation.perplexity import token_log_probs as score_text
from rnnkit.events import Event, Note
from rnnkit.stages.evaluation import score
from rnnkit.stages.evaluation.score import LineScore, Summary
from rnnkit.stages.evaluation.score_options import ScoreOptions
from rnnkit.stages.text import align, align_options, tokenize, tokenize_options, vocab
from rnnkit.text import special_tokens

LINES = ["the king sat on the mat", "", "i am  very Ümlaut hungry", "the dog ran", "the dog ran", "the dog"] * 3
SEEN = ["the dog ran on the mat", "the dog sat", "a king ran", "the dog sat"] * 4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model directories that share a vocabulary, and text."""
    root = tmp_path_factory.mktemp("score")
    for name, lines in (("test.txt", LINES), ("valid.txt", SEEN)):
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return {
        "stream": tiny_models.speaker_folder(root / "stream", tiny_models.speaker(), "spaces"),
        "line": tiny_models.speaker_folder(root / "line", tiny_models.speaker("gru", 2, context="line"), "spaces"),
        "counts": tiny_models.counts_folder(root / "counts", tiny_models.counts(), "spaces"),
        "likely": tiny_models.counts_folder(
            root / "likely", tiny_models.counts(smoothing="maximum-likelihood"), "spaces"
        ),
        "test": root / "test.txt",
        "valid": root / "valid.txt",
    }


def options(folders: dict[str, Path], model: str = "stream", **changes: Any) -> ScoreOptions:
    return replace(ScoreOptions(files=[folders["test"]], model=folders[model], threads=1, device="cpu"), **changes)


def scored(wanted: ScoreOptions) -> tuple[list[LineScore], Summary]:
    *lines, summary = score.run(wanted)
    assert isinstance(summary, Summary)
    return [line for line in lines if isinstance(line, LineScore)], summary


def ids() -> SentenceDataset:
    """What the models read of `LINES`."""
    table = tiny_models.vocabulary()
    lines = [[*table.encode(line.split()), special_tokens.EOS] for line in LINES]
    return SentenceDataset(np.concatenate(lines), np.cumsum([0, *map(len, lines)]))


@pytest.mark.parametrize("model", ["stream", "line", "counts"])
def test_lines_and_the_whole_are_those_of_the_model(folders: dict[str, Path], model: str) -> None:
    lines, summary = scored(options(folders, model))
    text = ids()
    if model == "counts":
        expected = tiny_models.counts().score(text.ids, text.offsets)
    else:
        network = tiny_models.speaker() if model == "stream" else tiny_models.speaker("gru", 2, context="line")
        expected = score_text(make_evaluator(network), text)
    sums = np.add.reduceat(expected, text.offsets[:-1])
    np.testing.assert_allclose([line.score.log_p for line in lines], sums, rtol=1e-5)
    assert [line.number for line in lines] == list(range(1, len(LINES) + 1))
    assert summary.score.perplexity == pytest.approx(math.exp(-expected.mean()), rel=1e-5)
    assert summary.score.known_perplexity == pytest.approx(
        math.exp(-expected[text.ids != special_tokens.UNK].mean()), rel=1e-5
    )
    assert (summary.score.lines, summary.score.tokens, summary.score.unknown) == (18, len(text.ids), 3)


def test_bits_per_byte_refer_to_the_detokenized_text(folders: dict[str, Path]) -> None:
    _, summary = scored(options(folders))
    raw = folders["test"].read_text(encoding="utf-8")
    text = raw.replace("  ", " ")
    bits = -summary.score.log_p / math.log(2)
    assert summary.score.bits_per_character == pytest.approx(bits / len(text))
    assert summary.score.bits_per_byte == pytest.approx(bits / len(text.encode()))
    assert summary.score.raw_bits_per_character == pytest.approx(bits / len(raw))
    assert summary.score.raw_bits_per_byte == pytest.approx(bits / len(raw.encode()))
    assert len(text) < len(raw) < len(raw.encode())


CACHE = {"cache": True, "cache_size": 9, "cache_weight": 0.3}
AT_ONCE: list[tuple[str, dict[str, Any]]] = [
    *((model, {}) for model in ("stream", "line", "counts")),
    *((model, {**CACHE, "cache_flatness": 0.5}) for model in ("stream", "line")),
    ("counts", CACHE),
    *((model, {"dynamic": True}) for model in ("stream", "line")),
]


@pytest.mark.parametrize(("model", "extra"), AT_ONCE)
def test_block_size_does_not_affect_scores(
    folders: dict[str, Path], model: str, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = options(folders, model, **extra)
    expected = [line.score.log_p for line in scored(wanted)[0]]
    monkeypatch.setattr(lm_scorer, "BLOCK_LINES", 1)
    np.testing.assert_allclose([line.score.log_p for line in scored(wanted)[0]], expected, rtol=1e-4)


@pytest.mark.parametrize("context", ["stream", "line"])
@pytest.mark.parametrize("extra", [{}, {**CACHE, "cache_flatness": 0.5}], ids=["plain", "cache"])
def test_backward_model_scores_reversed_lines(
    folders: dict[str, Path], tmp_path: Path, context: str, extra: dict[str, Any]
) -> None:
    """The same weights, read forward, give reversed lines the same scores, token by token."""
    mirrored = tmp_path / "mirrored.txt"
    mirrored.write_text("".join(f"{' '.join(line.split()[::-1])}\n" for line in LINES), encoding="utf-8")
    lines = {}
    for direction, text in (("backward", folders["test"]), ("forward", mirrored)):
        network = tiny_models.speaker(context=context, direction=direction)
        model = tiny_models.speaker_folder(tmp_path / direction, network, "spaces")
        lines[direction], _ = scored(replace(options(folders, tokens=True, **extra), model=model, files=[text]))
    for line, other in zip(lines["backward"], lines["forward"], strict=True):
        assert line.tokens is not None and other.tokens is not None
        *words, eos = other.tokens
        expected = [*words[::-1], eos]
        assert [token.text for token in line.tokens] == [token.text for token in expected]
        log_probs = [token.log_p for token in expected]
        np.testing.assert_allclose([token.log_p for token in line.tokens], log_probs, rtol=1e-5)


def test_models_of_two_directions_cannot_be_mixed(folders: dict[str, Path], tmp_path: Path) -> None:
    backward = tiny_models.speaker_folder(tmp_path / "b", tiny_models.speaker(direction="backward"), "spaces")
    mixed = options(folders, "counts", interpolate=[f"{backward}:0.5"])
    with raises(ArtefactError, f"{folders['counts']} and {backward} read in different directions"):
        scored(mixed)


def test_tokens_add_up_to_their_line(folders: dict[str, Path]) -> None:
    lines, _ = scored(options(folders, tokens=True))
    for line in lines:
        assert line.tokens is not None
        assert sum(token.log_p for token in line.tokens) == pytest.approx(line.score.log_p)
    third = lines[2].tokens
    assert third is not None
    assert [token.text for token in third] == ["i", "am", "very", "Ümlaut", "hungry", "</s>"]
    assert [token.known for token in third] == [True, True, True, False, True, True]
    assert lines[2].lines[3] == f"{third[3].log_p / math.log(10):.4f}\t{third[3].log_p:.4f}\tÜmlaut\t<unk>"
    assert lines[2].lines[-2:] == (
        f"{lines[2].score.log10_p:.4f}\t{lines[2].score.log_p:.4f}\t6\t1",
        "",
    )
    assert lines[1].as_dict()["token_scores"] == [
        {"token": "</s>", "known": True, "ln": lines[1].score.log_p, "log10": lines[1].score.log10_p}
    ]


def test_the_summary_alone(folders: dict[str, Path]) -> None:
    (summary,) = score.run(options(folders, "counts", summary=True))
    assert isinstance(summary, Summary)
    assert [line.rsplit(maxsplit=1)[0].strip() for line in summary.lines] == [
        "lines", "tokens, EOS included", "unknown tokens", "perplexity", "perplexity without unknown tokens",
        "nats per token", "bits per token", "bits per character", "bits per byte",
        "bits per character of the raw text", "bits per byte of the raw text",
    ]  # fmt: skip
    assert summary.lines[0].split() == ["lines", "18"]
    assert summary.as_dict()["summary"]["tokens"] == summary.score.tokens


@pytest.mark.parametrize("model", ["stream", "line", "counts"])
def test_a_model_mixed_with_itself_is_itself(folders: dict[str, Path], model: str) -> None:
    alone, summary = scored(options(folders, model))
    mixed, both = scored(options(folders, model, interpolate=[f"{folders[model]}:0.3"]))
    np.testing.assert_allclose([line.score.log_p for line in mixed], [line.score.log_p for line in alone], rtol=1e-6)
    assert [part.weight for part in both.parts] == pytest.approx([0.7, 0.3])
    assert [part.perplexity for part in both.parts] == pytest.approx([summary.score.perplexity] * 2)


def test_models_of_every_kind_mix_as_probabilities(folders: dict[str, Path]) -> None:
    others = [f"{folders['line']}:0.25", f"{folders['counts']}:0.35"]
    mixed, summary = scored(options(folders, interpolate=others, tokens=True))
    alone = [scored(options(folders, model, tokens=True))[0] for model in ("stream", "line", "counts")]
    for number, line in enumerate(mixed):
        assert line.tokens is not None
        for place, token in enumerate(line.tokens):
            each = [part[number].tokens[place].log_p for part in alone]  # type: ignore[index]
            assert math.exp(token.log_p) == pytest.approx(np.dot([0.4, 0.25, 0.35], np.exp(each)), rel=1e-5)
    assert [part.name for part in summary.parts] == [str(folders[name]) for name in ("stream", "line", "counts")]
    assert summary.lines[-4].split() == ["component", "weight", "perplexity", "alone"]


@pytest.mark.parametrize("model", ["stream", "line", "counts"])
def test_cache_is_a_component_of_the_mixture(folders: dict[str, Path], model: str) -> None:
    flatness = None if model == "counts" else 0.5
    wanted = options(folders, model, cache=True, cache_size=7, cache_weight=0.2, cache_flatness=flatness, tokens=True)
    cached, summary = scored(wanted)
    alone = scored(options(folders, model, tokens=True))[0]
    whole = scored(replace(wanted, cache_weight=1.0))[0]
    for line, plain, only in zip(cached, alone, whole, strict=True):
        assert line.tokens and plain.tokens and only.tokens
        for token, own, seen in zip(line.tokens, plain.tokens, only.tokens, strict=True):
            mixed = 0.8 * math.exp(own.log_p) + 0.2 * math.exp(seen.log_p)
            assert math.exp(token.log_p) == pytest.approx(mixed, rel=1e-5)
    assert summary.as_dict()["summary"]["cache"] == {"size": 7, "flatness": flatness or 0.0}
    assert summary.lines[-1] == f"the cache holds 7 tokens, flatness {flatness or 0:g}"


def test_weights_are_fitted_on_held_out_text(folders: dict[str, Path]) -> None:
    heard: list[Event] = []
    wanted = options(folders, files=[folders["valid"]], interpolate=[str(folders["counts"])], tune=folders["valid"])
    *_, summary = score.run(wanted, heard.append)
    assert isinstance(summary, Summary)
    best = summary.score.perplexity
    weight = summary.parts[1].weight
    for other in (max(0, weight - 0.05), min(1, weight + 0.05)):
        _, found = scored(replace(wanted, interpolate=[f"{folders['counts']}:{other}"], tune=None))
        assert found.score.perplexity >= best - 1e-6
    (note,) = [event for event in heard if isinstance(event, Note)]
    assert note.text == (
        f"fitted on {folders['valid']} (perplexity {best:,.2f}): "
        f"{folders['stream']} {1 - weight:.4f}, {folders['counts']} {weight:.4f}"
    )


def test_weight_and_flatness_of_the_cache_are_fitted_together(folders: dict[str, Path]) -> None:
    wanted = options(folders, files=[folders["valid"]], cache=True, tune=folders["valid"], summary=True)
    _, summary = scored(wanted)
    assert summary.cache is not None
    for flatness in (0.0, 0.4, 2.0):
        for weight in (0.1, 0.5, 0.9):
            given = replace(wanted, tune=None, cache_weight=weight, cache_flatness=flatness)
            assert scored(given)[1].score.perplexity >= summary.score.perplexity - 1e-4
    only = replace(wanted, cache_flatness=0.4)
    assert scored(only)[1].cache == (500, 0.4)
    only = replace(wanted, cache_weight=0.15)
    assert scored(only)[1].parts[1].weight == 0.15


def test_fitting_does_not_affect_scores(folders: dict[str, Path]) -> None:
    wanted = options(folders, cache=True, dynamic=True, tune=folders["valid"])
    fitted, summary = scored(wanted)
    assert summary.cache is not None
    given = replace(wanted, tune=None, cache_weight=summary.parts[1].weight, cache_flatness=summary.cache[1])
    np.testing.assert_allclose(
        [line.score.log_p for line in scored(given)[0]], [line.score.log_p for line in fitted], rtol=1e-6
    )


@pytest.mark.parametrize("model", ["stream", "line"])
def test_dynamic_evaluation_at_rate_zero_changes_nothing(folders: dict[str, Path], model: str) -> None:
    plain, _ = scored(options(folders, model))
    still, _ = scored(options(folders, model, dynamic=True, dynamic_rate=0.0))
    np.testing.assert_allclose([line.score.log_p for line in still], [line.score.log_p for line in plain], rtol=1e-4)
    moved, _ = scored(options(folders, model, dynamic=True, dynamic_method="sgd", dynamic_rate=0.5))
    assert np.abs([a.score.log_p - b.score.log_p for a, b in zip(moved, plain, strict=True)]).max() > 0.1


def test_counts_without_smoothing_rule_tokens_out(folders: dict[str, Path]) -> None:
    _, summary = scored(options(folders, "likely"))
    assert summary.score.perplexity == math.inf
    assert summary.score.impossible > 0
    assert summary.lines[3].split()[:4] == ["tokens", "of", "probability", "zero"]
    assert summary.as_dict()["summary"]["perplexity"] is None
    _, mixed = scored(options(folders, "likely", interpolate=[f"{folders['stream']}:0.1"]))
    assert mixed.score.perplexity < 1000
    assert mixed.parts[0].perplexity == math.inf


def test_text_without_a_tokenizer_is_split_at_white_space(folders: dict[str, Path], tmp_path: Path) -> None:
    bare = tiny_models.speaker_folder(tmp_path, tiny_models.speaker(), None)
    assert (
        scored(options(folders, model="stream", tokens=True))[0]
        == scored(replace(options(folders, tokens=True), model=bare))[0]
    )


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with data of one side, made from words."""
    root = tmp_path_factory.mktemp("aligned")
    for name, lines in (("train.en", LINES * 3), ("valid.en", SEEN), ("test.en", LINES)):
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    work = root / "work"
    tokenize.run(tokenize_options.TokenizeOptions(files=sorted(root.glob("*.en")), type="words", work=work))
    vocab.run(vocab.VocabOptions(work=work))
    align.run(align_options.AlignOptions(text="en", work=work))
    return work


def test_aligned_data_scores_as_its_text(aligned: Path, tmp_path: Path) -> None:
    from rnnkit.models import lm_store, model_weights, store
    from rnnkit.text.vocabulary import Vocabulary

    network = tiny_models.speaker(size=len(Vocabulary.load(aligned / "vocab.tsv")))
    model = tmp_path / "model"
    lm_store.create_language_model(model, network.config, "en", aligned / "tokenizer", aligned / "vocab.tsv")
    model_weights.save(model / "best.safetensors", model_weights.unique_tensors(network), {})
    store.write_manifest(model, {}, {}, {}, finished=True)
    wanted = ScoreOptions(model=model, work=aligned, threads=1, device="cpu")
    by_text, whole = scored(replace(wanted, files=[aligned.parent / "test.en"], tokens=True))
    by_data, figures = scored(replace(wanted, split="test", tokens=True))
    assert [line.score.log_p for line in by_data] == pytest.approx([line.score.log_p for line in by_text])
    assert figures.score.perplexity == pytest.approx(whole.score.perplexity)
    assert math.isnan(figures.score.bits_per_byte)
    assert not any("byte" in line for line in figures.lines)
    assert scored(replace(wanted, data=aligned / "data"))[1].score == figures.score
    with raises(DataError, "dev.en"):
        scored(replace(wanted, split="dev"))


def test_data_of_another_vocabulary_is_refused(folders: dict[str, Path], aligned: Path) -> None:
    data = aligned / "data"
    with raises(ArtefactError, data, folders["stream"], "vocabulary", "sha256", "hint", path=data):
        scored(ScoreOptions(model=folders["stream"], data=data))


def test_models_with_other_tokenizers_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    cut = tiny_models.speaker_folder(tmp_path / "cut", tiny_models.speaker(), "words")
    with raises(ArtefactError, folders["stream"], "spaces", "words", path=cut):
        scored(options(folders, interpolate=[f"{cut}:0.5"]))


def test_models_for_something_else_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    cloze = tiny_models.filler_folder(tmp_path, tiny_models.filler())
    with raises(ArtefactError, cloze, "a masked language model"):
        scored(replace(options(folders), model=cloze))
    with raises(ArtefactError, "a masked language model"):
        scored(options(folders, interpolate=[f"{cloze}:0.5"]))
    with raises(DataError, "nowhere"):
        scored(replace(options(folders), model=Path("nowhere")))


@pytest.mark.parametrize("which", ["files", "tune"])
def test_an_empty_text_is_refused(folders: dict[str, Path], tmp_path: Path, which: str) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    changes: dict[str, Any] = {"files": [empty]} if which == "files" else {"tune": empty, "cache": True}
    with raises(DataError, empty, path=empty):
        scored(options(folders, **changes))


@pytest.mark.parametrize(
    ("model", "changes", "option", "values"),
    [
        ("stream", {"cache": True}, "--tune", ["weight of the cache", "flatness of the cache", "hint"]),
        ("stream", {"cache": True, "cache_weight": 0.1}, "--tune", ["flatness of the cache"]),
        ("counts", {"cache": True}, "--tune", ["weight of the cache"]),
        ("counts", {"interpolate": ["{line}"]}, "--tune", ["weight of {line}"]),
        ("stream", {"tune": Path("valid")}, "--tune", ["nothing to fit"]),
        ("counts", {"tune": Path("valid"), "cache": True, "cache_weight": 0.1}, "--tune", ["nothing to fit"]),
        ("counts", {"dynamic": True}, "--dynamic", ["{counts}", "gradient"]),
        ("counts", {"cache": True, "cache_flatness": 0.1}, "--cache-flatness", ["{counts}"]),
        ("counts", {"checkpoint": "last"}, "--checkpoint", ["last", "{counts}"]),
    ],
)
def test_options_unsuitable_for_the_model_are_refused(
    folders: dict[str, Path], model: str, changes: dict[str, Any], option: str, values: list[str]
) -> None:
    if "interpolate" in changes:
        changes = {"interpolate": [text.format(**folders) for text in changes["interpolate"]]}
    with raises(UsageError, *(value.format(**folders) for value in values), option=option):
        scored(options(folders, model, **changes))


def test_a_colon_in_a_path_is_no_weight(folders: dict[str, Path], tmp_path: Path) -> None:
    odd = tiny_models.counts_folder(tmp_path / "odd:name", tiny_models.counts(), "spaces")
    _, summary = scored(options(folders, interpolate=[str(odd)], tune=folders["valid"]))
    assert summary.parts[1].name == str(odd)
