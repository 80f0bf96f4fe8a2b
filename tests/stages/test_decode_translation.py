"""Translation through the stage: ensembles, fusion, demands, sampling, links and maps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny_models
from tests.raising import raises
from tests.tiny_models import translator, translator_folder

from rnnkit.errors import ArtefactError, DataError, FormatError, UsageError
from rnnkit.events import WarningEvent
from rnnkit.models import model_weights
from rnnkit.ngrams import write_arpa
from rnnkit.stages.evaluation import score, score_options
from rnnkit.stages.evaluation.score import LineScore, Summary
from rnnkit.stages.files import convert_ngrams
from rnnkit.stages.inference import decode
from rnnkit.stages.inference.decode_options import DecodeOptions
from rnnkit.text import special_tokens
from rnnkit.text.special_tokens import NAMES

LINES = ("the king sat on the mat", "", "Zzz yyy", "a dog ran", "the queen", "i am very hungry", "the cat sat") * 2

OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {"beam": 1},
    "beam": {"beam": 3, "nbest": 2},
    "length": {"min_length": 4, "max_length": 6, "length_penalty": 0.3},
    "repeats": {"no_repeat_ngram": 2},
    "diverse": {"beam": 4, "diversity": 0.5, "nbest": 4},
    "coverage": {"coverage_penalty": 0.3, "nbest": 2},
    "sample": {"sample": True, "nbest": 2, "seed": 3},
    "nucleus": {"temperature": 1.5, "top_p": 0.8, "top_k": 6, "nbest": 2},
    "unknown": {"replace_unknown": True},
    "asked": {"prefix_file": "prefixes", "constraints": "phrases", "nbest": 2},
    "asked and sampled": {"prefix_file": "prefixes", "constraints": "phrases", "sample": True},
    "ensemble": {"model": ["a", "b"], "nbest": 2},
    "right to left": {"model": ["r"], "constraints": "phrases", "replace_unknown": True, "nbest": 2},
    "both directions": {"model": ["a", "r", "b"], "constraints": "phrases", "min_length": 3, "beam": 3, "nbest": 3},
    "fusion": {"fusion": ["lm:0.3", "counts"], "nbest": 2},
    "everything": {
        "model": ["a", "b"], "fusion": ["lm"], "beam": 3, "min_length": 3, "no_repeat_ngram": 3, "nbest": 3,
        "constraints": "phrases", "prefix_file": "prefixes", "coverage_penalty": 0.2, "replace_unknown": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that share a vocabulary, and text."""
    root = tmp_path_factory.mktemp("translation")
    for seed, name in enumerate(("a", "b"), start=1):
        translator_folder(root / f"{name}.d", translator(seed=seed, spread=1.0)).rename(root / name)
    backward = translator(seed=3, spread=1.0, right_to_left=True)
    translator_folder(root / "r.d", backward).rename(root / "r")
    translator_folder(root / "blind.d", translator(attention="none")).rename(root / "blind")
    translator_folder(root / "other.d", translator(size=tiny_models.SIZE + 1), more=["extra"]).rename(root / "other")
    translator_folder(root / "spaces.d", translator(), "spaces").rename(root / "spaces")
    tiny_models.speaker_folder(root / "lm.d", tiny_models.speaker(seed=4)).rename(root / "lm")
    tiny_models.counts_folder(root / "counts.d", tiny_models.counts()).rename(root / "counts")
    write_arpa(tiny_models.counts(), [*NAMES, *(f"x{word}" for word in tiny_models.WORDS)], root / "strange.arpa")
    convert_ngrams.run(convert_ngrams.ConvertNgramsOptions(root / "strange", model=root / "strange.arpa"))
    prefixes = ["the", "a cat", "", "", "i am", "", ""] * 2
    phrases = ["hungry\tmat sat", "", "king", "", "on the mat", "", "very"] * 2
    for name, lines in (("text", LINES), ("prefixes", prefixes), ("phrases", phrases)):
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return root


def decoded(here: Path, **changes: Any) -> list[str]:
    for name in ("prefix_file", "constraints", "constraint_tokens"):
        if name in changes:
            changes[name] = here / changes[name]
    if "fusion" in changes:
        changes["fusion"] = [str(here / text) for text in changes["fusion"]]
    folders = [here / name for name in changes.pop("model", ["a"])]
    return list(decode.run(DecodeOptions(**{"files": [here / "text"], "model": folders, "threads": 1, **changes})))


@pytest.mark.parametrize("name", OPTIONS)
def test_one_output_for_each_line_whatever_the_batch(here: Path, name: str) -> None:
    options = OPTIONS[name]
    lines = decoded(here, **options)
    assert len(lines) == len(LINES) * options.get("nbest", 1)
    alone = [json.loads(line) for line in decoded(here, **options, batch_tokens=1, json=True)]
    together = [json.loads(line) for line in decoded(here, **options, json=True)]
    for one, other in zip(alone, together, strict=True):
        assert [each["text"] for each in one["outputs"]] == [each["text"] for each in other["outputs"]]
        for left, right in zip(one["outputs"], other["outputs"], strict=True):
            assert left["score"] == pytest.approx(right["score"], abs=1e-3)


def test_constraints_hold_in_every_output(here: Path) -> None:
    for options in ("asked", "asked and sampled", "everything"):
        lines = [json.loads(line) for line in decoded(here, **OPTIONS[options], json=True)]
        for asked, many in (("the", lines[0]), ("a cat", lines[1]), ("i am", lines[4])):
            assert all(one["text"].startswith(asked) for one in many["outputs"])
        for asked, many in (("hungry", lines[0]), ("mat sat", lines[0]), ("king", lines[2]), ("on the mat", lines[4])):
            assert all(f" {asked} " in f" {' '.join(one['tokens'])} " for one in many["outputs"])
    assert decoded(here)[1] == "", "an empty line of which nothing is asked stays empty"


def test_ensemble_of_a_model_with_itself_is_the_model(here: Path) -> None:
    alone, twice = decoded(here), decoded(here, model=["a", "a"])
    assert alone == twice
    assert decoded(here, model=["a", "b"]) != alone
    assert decoded(here, fusion=["lm:1"]) != alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": ["a", "other"]},
            "a and .*other have different target vocabularies\n  .*sha256 .*\n  hint: ",
        ),
        ({"model": ["a", "spaces"]}, "a and .*spaces have different tokenizers"),
        (
            {"fusion": ["strange"]},
            "a and .*strange do not predict the same tokens\n  by spelling and weighted .*strange has 0.0%",
        ),
        ({"fusion": ["b"]}, "b is not a language model"),
        ({"model": ["a", "lm"]}, "lm is not a sequence-to-sequence model"),
    ],
)
def test_mismatched_models_are_refused(here: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        decoded(here, **changes)


@pytest.mark.parametrize(
    ("text", "message"), [("lm:0", "--fusion .*lm:0"), ("lm:2", "--fusion .*lm:2: .*between 0 and 1, got 2")]
)
def test_invalid_fusion_weights(here: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decoded(here, fusion=[text])


@pytest.mark.parametrize(
    ("changes", "option", "values"),
    [
        ({"model": ["r"], "prefix_file": "prefixes"}, "--prefix-file", ["--right-to-left"]),
        ({"model": ["a", "r"], "fusion": ["lm"]}, "--fusion", ["--right-to-left"]),
        ({"model": ["a", "r"], "sample": True}, "--sample", ["a generates from left", "r from right", "hint"]),
        ({"model": ["r", "a"], "coverage_penalty": 0.1}, "--coverage-penalty", ["one direction"]),
        ({"model": ["r", "a"], "exhaustive": True, "max_length": 3}, "--exhaustive", ["one direction"]),
    ],
)
def test_options_that_need_one_direction_are_refused(
    here: Path, changes: dict[str, Any], option: str, values: list[str]
) -> None:
    with raises(UsageError, *values, path=here / "r", option=option):
        decoded(here, **changes)


def test_model_without_attention_refuses_attention_options(here: Path) -> None:
    with raises(UsageError, path=here / "blind", option="--replace-unknown"):
        decoded(here, model=["blind"], replace_unknown=True)
    assert len(decoded(here, model=["blind"])) == len(LINES)
    assert json.loads(decoded(here, model=["blind"], json=True)[0])["outputs"][0]["attention"] is None


def test_unknown_words_are_replaced_by_lexicon_translations(here: Path, tmp_path: Path) -> None:
    network = translator(seed=1, spread=1.0)
    with torch.no_grad():
        network.output_bias[special_tokens.UNK] = 99.0
    model, lexicon = translator_folder(tmp_path, network), tmp_path / "lexicon"
    lexicon.write_text("the\tder\t0.2\nthe\tdas\t0.7\nZzz\tSchnarch\t1\nking\t<unk>\t0.9\n", encoding="utf-8")
    asked: dict[str, Any] = {"model": [model], "replace_unknown": True, "max_length": 4, "json": True}
    copied, told = (
        [json.loads(line) for line in decoded(here, **asked, **more)] for more in ({}, {"lexicon": lexicon})
    )
    for before, after in zip(copied, told, strict=True):
        for one, other in zip(before["outputs"], after["outputs"], strict=True):
            words = {"the": "das", "Zzz": "Schnarch"}
            assert other["tokens"] == [words.get(token, token) for token in one["tokens"]]
    said = {token for line in told for one in line["outputs"] for token in one["tokens"]}
    assert {"das", "Schnarch"} & said
    assert said - {"das", "Schnarch"}


def test_a_lexicon_of_other_tokens_is_refused(here: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "lexicon"
    lexicon.write_text("▁der\t▁the\t0.7\nZzz\tZzz\t1\n", encoding="utf-8")
    with raises(DataError, here / "a", "the, a, king", "▁der, Zzz", path=lexicon, option="--lexicon"):
        decoded(here, replace_unknown=True, lexicon=lexicon)


@pytest.mark.parametrize("options", [{"beam": 1}, {"nbest": 2}, {"sample": True, "nbest": 2}, {"model": ["a", "b"]}])
def test_links_have_a_line_for_each_output_line(here: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    lines = decoded(here, **options, alignments=tmp_path / "links", replace_unknown=True)
    links = (tmp_path / "links").read_text(encoding="utf-8").splitlines()
    assert len(links) == len(lines)
    assert lines == decoded(here, **options, replace_unknown=True)
    outputs = [json.loads(line) for line in decoded(here, **options, replace_unknown=True, json=True)]
    expected = [(len(one["source_tokens"]), len(each["tokens"])) for one in outputs for each in one["outputs"]]
    filled = [line for line, raw in zip(links, lines, strict=True) if raw]
    assert len(filled) == sum(bool(target) for _, target in expected)
    for line, (source, target) in zip(filled, [pair for pair in expected if pair[1]], strict=True):
        pairs = [tuple(map(int, link.split("-"))) for link in line.split()]
        assert [place for _, place in pairs] == list(range(target))
        assert all(0 <= place < source for place, _ in pairs)


def test_maps_are_written_as_json_and_as_pictures(here: Path, tmp_path: Path) -> None:
    decoded(here, attention=tmp_path / "a.json", nbest=2)
    maps = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert [one["line"] for one in maps[:4]] == [1, 1, 3, 3]
    for one in maps:
        assert len(one["attention"]) == len(one["target"])
        for row in one["attention"]:
            assert len(row) == len(one["source"])
            assert sum(row) == pytest.approx(1, abs=0.01)
    decoded(here, attention=tmp_path / "a.png")
    assert {path.name for path in tmp_path.iterdir()} >= {"a.png", "a-3.png", "a-4.png"}
    assert not (tmp_path / "a-2.png").exists(), "nothing was looked at for an empty line"


def test_nan_weights_are_reported_before_any_output(here: Path, tmp_path: Path) -> None:
    network = translator(seed=1)
    with torch.no_grad():
        network.output_bias[5] = torch.nan
    folder = translator_folder(tmp_path, network)
    with raises(FormatError, "output_bias", "NaN", path=folder / "best.safetensors"):
        decoded(here, model=[folder])
    assert model_weights.unique_tensors(network)


def scored(here: Path, files: list[str], **changes: Any) -> tuple[list[LineScore], Summary]:
    paths = [here / name for name in files]
    *lines, summary = score.run(
        score_options.ScoreOptions(**{"files": paths, "model": here / "a", "threads": 1, **changes})
    )
    assert isinstance(summary, Summary)
    return [one for one in lines if isinstance(one, LineScore)], summary


@pytest.mark.parametrize("name", ["a", "r"])
def test_a_translation_has_the_score_that_search_gave_it(here: Path, tmp_path: Path, name: str) -> None:
    found = [json.loads(line)["outputs"] for line in decoded(here, model=[name], json=True)]
    outputs = [many[0] if many else {"text": "", "tokens": []} for many in found]
    target = tmp_path / "target"
    target.write_text("".join(f"{one['text']}\n" for one in outputs), encoding="utf-8")
    lines, summary = scored(here, ["text", str(target)], model=here / name, tokens=True)
    assert [line.number for line in lines] == list(range(1, len(LINES) + 1))
    compared = 0
    for line, one in zip(lines, outputs, strict=True):
        assert line.tokens is not None
        if one["tokens"] and [token.text for token in line.tokens[:-1]] == one["tokens"]:
            assert line.score.log_p == pytest.approx(one["log_probability"], abs=1e-3)
            compared += 1
        assert sum(token.log_p for token in line.tokens) == pytest.approx(line.score.log_p)
    assert compared >= 6
    assert summary.score.tokens == sum(line.score.tokens for line in lines)
    assert summary.score.log_p == pytest.approx(sum(line.score.log_p for line in lines))


@pytest.mark.parametrize(
    ("files", "changes", "error", "message"),
    [
        (["text"], {}, UsageError, "a is a translation model.*\n  1 file is given"),
        (["text"] * 3, {}, UsageError, "3 files are given"),
        (["text", "short"], {}, DataError, "short has 1 lines, .*text has more"),
        (["short", "text"], {}, DataError, "short has 1 lines, .*text has more"),
        (["empty", "empty"], {}, DataError, "empty and .*empty are empty"),
        (["text", "text"], {"cache": True, "cache_weight": 0.1}, UsageError, "--cache needs a language model"),
        (["-"], {"split": "test"}, UsageError, "--data and --split need a language model"),
    ],
)
def test_translations_that_cannot_be_scored(
    here: Path, files: list[str], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    (here / "short").write_text("the king\n", encoding="utf-8")
    (here / "empty").write_text("", encoding="utf-8")
    if files == ["-"]:
        with pytest.raises(error, match=message):
            list(score.run(score_options.ScoreOptions(model=here / "a", **changes)))
        return
    with pytest.raises(error, match=message):
        scored(here, files, **changes)


def test_constraints_match_whole_words_or_token_sequences(here: Path) -> None:
    (here / "whole").write_text("cat\t, very\n\n" * 7, encoding="utf-8")
    (here / "tokens").write_text("￭, very\tking the\n\n" * 7, encoding="utf-8")
    for changes in ({"model": ["a"]}, {"model": ["r"]}, {"model": ["a", "r"]}):
        lines = [json.loads(line) for line in decoded(here, constraints="whole", json=True, nbest=3, **changes.copy())]
        for line in lines[::2]:
            assert all(one["constraints_met"] for one in line["outputs"])
            assert all(re.search(r"\bcat\b", one["text"]) and ", very" in one["text"] for one in line["outputs"])
        assert all("constraints_met" not in one for line in lines[1::2] for one in line["outputs"])
        given = [json.loads(line) for line in decoded(here, constraint_tokens="tokens", json=True, **changes.copy())]
        for line in given[::2]:
            spoken = f" {' '.join(line['outputs'][0]['tokens'])} "
            assert " ￭, very " in spoken and " king the " in spoken


def test_what_cannot_be_written_is_named_or_left_out(here: Path) -> None:
    (here / "impossible").write_text("cat\tZzz\n\n" * 7, encoding="utf-8")
    with pytest.raises(DataError, match=r"impossible:1: the phrase 'Zzz' .*'Zzz'") as caught:
        decoded(here, constraints="impossible")
    assert caught.value.details[-1].startswith("and 2 more")
    heard: list[Any] = []
    options = DecodeOptions(
        files=[here / "text"], model=[here / "a"], constraints=here / "impossible", skip_impossible=True, threads=1
    )
    assert all("cat" in line for line in list(decode.run(options, heard.append))[::2])
    warnings = [event.text.split(" were")[0] for event in heard if isinstance(event, WarningEvent)]
    assert "7 prefixes and constraints" in warnings


def test_copied_words_are_decoded_and_scored_alike(here: Path) -> None:
    network = translator(seed=5, spread=1.0, copy=True)
    with torch.no_grad():
        network.gate.bias.sub_(6)
        network.output_bias[special_tokens.UNK] += 6
    translator_folder(here / "copy.d", network, "spaces").rename(here / "copy")
    lines = [json.loads(line) for line in decoded(here, model=["copy"], json=True, beam=3, nbest=2)]
    assert any(set(one["tokens"]) & {"Zzz", "yyy"} for one in lines[2]["outputs"])
    assert not any("<unk>" in one["text"] for line in lines for one in line["outputs"])
    texts = [line["outputs"][0]["text"] if line["outputs"] else "" for line in lines]
    (here / "copied").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    pair = score_options.ScoreOptions(files=[here / "text", here / "copied"], model=here / "copy", threads=1)
    scored = [one for one in score.run(pair) if isinstance(one, LineScore)]
    for line, one in zip(lines, scored, strict=True):
        if line["source_tokens"]:
            assert one.score.log_p == pytest.approx(line["outputs"][0]["log_probability"], abs=1e-4)
            assert one.score.unknown == 0
