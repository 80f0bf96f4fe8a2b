"""Models that number their tokens differently, mixed by `score` and fused by `decode`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import tiny_models
from tests.raising import raises
from tests.tiny_models import WORDS

from rnnkit.errors import ArtefactError
from rnnkit.events import Event, WarningEvent, null_listener
from rnnkit.ngrams import store as ngram_store
from rnnkit.stages.evaluation import score
from rnnkit.stages.evaluation.score import LineScore, Summary
from rnnkit.stages.evaluation.score_options import ScoreOptions
from rnnkit.stages.files import convert_ngrams
from rnnkit.stages.inference import decode, decode_options
from rnnkit.text.vocabulary import Vocabulary

TEXT = "".join(f"{line}\n" for line in tiny_models.TEXT) + "a zebra sat on the mat\n\nthe gnu ran\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One counted model in several orders of its rows, networks beside it, and text."""
    root = tmp_path_factory.mktemp("mixture")
    (root / "text").write_text(TEXT, encoding="utf-8")
    tiny_models.counts_folder(root / "c", tiny_models.counts(order=5), "spaces").rename(root / "counts")
    tiny_models.speaker_folder(root / "l", tiny_models.speaker(), "spaces").rename(root / "lstm")
    tiny_models.speaker_folder(root / "w", tiny_models.speaker(seed=3)).rename(root / "words")
    tiny_models.translator_folder(root / "t", tiny_models.translator(spread=1.0)).rename(root / "translator")
    convert_ngrams.run(convert_ngrams.ConvertNgramsOptions(root / "own.arpa", model=root / "counts"))
    own = (root / "own.arpa").read_text(encoding="utf-8")
    begin, end = own.index("\\1-grams:\n") + len("\\1-grams:\n"), own.index("\n\n\\2-grams:")
    rows = own[begin:end].split("\n")
    arpas = {
        "own": own,
        "turned": own[:begin] + "\n".join(reversed(rows)) + own[end:],
        "more": own[:begin] + "\n".join([*rows, "-1.25\tzebra"]) + own[end:],
        "letters": "\\data\\\nngram 1=8\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n-1\t</s>\n"
        + "".join(f"-0.7\t{letter}\n" for letter in "abcde") + "\n\\end\\\n",
    }  # fmt: skip
    arpas["more"] = arpas["more"].replace(f"ngram 1={len(rows)}", f"ngram 1={len(rows) + 1}")
    for name, text in arpas.items():
        (root / f"{name}.arpa").write_text(text, encoding="utf-8")
        convert_ngrams.run(convert_ngrams.ConvertNgramsOptions(root / name, model=root / f"{name}.arpa"))
    return root


def scored(
    here: Path, model: str, *others: str, events: list[Event] | None = None, tune: bool = False
) -> tuple[list[float], Summary]:
    """Natural logarithms of all tokens, and the summary."""
    options = ScoreOptions(files=[here / "text"], model=here / model, tokens=True, threads=1, device="cpu")
    options = replace(options, interpolate=[str(here / other) for other in others])
    if tune:
        options = replace(options, tune=here / "text")
    *lines, summary = score.run(options, null_listener if events is None else events.append)
    assert isinstance(summary, Summary)
    return [token.log_p for line in lines if isinstance(line, LineScore) for token in line.tokens or ()], summary


@pytest.mark.parametrize("tune", [False, True])
@pytest.mark.parametrize(
    ("one", "other"), [("own", "turned"), ("turned", "own"), ("counts", "turned"), ("turned", "counts")]
)
def test_orders_of_one_model_mix_to_the_model_itself(here: Path, one: str, other: str, tune: bool) -> None:
    events: list[Event] = []
    alone, _ = scored(here, one)
    mixed, summary = scored(here, one, other if tune else f"{other}:0.5", events=events, tune=tune)
    assert mixed == pytest.approx(alone, abs=1e-6)
    assert summary.parts[0].perplexity == pytest.approx(summary.parts[1].perplexity, rel=1e-6)
    assert not [event for event in events if isinstance(event, WarningEvent)]


@pytest.mark.parametrize("arpa", ["own", "turned"])
@pytest.mark.parametrize("network", ["lstm", "words"])
def test_interpolation_with_an_imported_ngram_model(here: Path, network: str, arpa: str) -> None:
    alone, counts = scored(here, network)[0], scored(here, arpa)[0]
    mixed, _ = scored(here, network, f"{arpa}:0.3")
    assert mixed == pytest.approx(np.log(0.7 * np.exp(alone) + 0.3 * np.exp(counts)).tolist(), abs=1e-5)
    other_way, _ = scored(here, arpa, f"{network}:0.7")
    assert other_way == pytest.approx(mixed, abs=1e-6)


def test_missing_words_are_unknown_and_counted(here: Path) -> None:
    alone, more = scored(here, "lstm")[0], scored(here, "more")[0]
    place = sum(len(line.split()) + 1 for line in tiny_models.TEXT) + 1
    for first, second, lacking in (("lstm", "more", "0 of 16 tokens"), ("more", "lstm", "1 of 17 tokens")):
        events: list[Event] = []
        mixed, summary = scored(here, first, f"{second}:0.5", events=events)
        (warning,) = [event for event in events if isinstance(event, WarningEvent)]
        assert f"{lacking} of {here / first} are <unk> to {here / second}" in warning.text
        assert mixed == pytest.approx(np.log(0.5 * np.exp(alone) + 0.5 * np.exp(more)).tolist(), abs=1e-6)
        unknown = {Path(part.name).name: part.unknown for part in summary.parts}
        assert unknown == {"lstm": 2, "more": 1}
        assert summary.as_dict()["summary"]["mixture"][0]["unknown"] == unknown[first]
        assert any("unknown tokens" in line and "component" in line for line in summary.lines)
    assert more[place] == pytest.approx(-1.25 * math.log(10) + backed_off(here), abs=1e-5)


def backed_off(here: Path) -> float:
    """What `more` pays to leave the context `<s> a`."""
    model = ngram_store.load(here / "more" / ngram_store.NAME)
    state = model.state_after(Vocabulary.load(here / "more" / "vocab.tsv").encode(["a"]), model.initial_state())
    total = 0.0
    while state:
        total += float(model.backoff_I[state])
        state = int(model.suffix_A[state])
    return total * math.log(10)


@pytest.mark.parametrize(("one", "other"), [("lstm", "letters"), ("letters", "lstm"), ("own", "letters")])
def test_word_and_character_models_are_not_mixed(here: Path, one: str, other: str) -> None:
    with raises(ArtefactError, here / one, here / other, "%"):
        scored(here, one, f"{other}:0.5")


def fused(here: Path, *speakers: str, events: list[Event] | None = None) -> list[str]:
    options = decode_options.DecodeOptions(
        files=[here / "text"], model=[here / "translator"], fusion=[str(here / one) for one in speakers], beam=3,
        json=True, threads=1, device="cpu",
    )  # fmt: skip
    return list(decode.run(options, null_listener if events is None else events.append))


def test_fusion_matches_by_spelling(here: Path) -> None:
    wanted = fused(here, "own:0.7")
    assert wanted != fused(here)
    assert fused(here, "turned:0.7") == wanted
    events: list[Event] = []
    assert fused(here, "more:0.7", events=events) == wanted, "a translation cannot say the word that it lacks"
    assert any("1 of 17 tokens" in event.text for event in events if isinstance(event, WarningEvent))
    with raises(ArtefactError, here / "translator", here / "letters"):
        fused(here, "letters")


def test_fusion_with_fewer_words(here: Path, tmp_path: Path) -> None:
    """A word that the language model lacks is as good as its unknown word."""
    (tmp_path / "few.arpa").write_text(
        "\\data\\\nngram 1=19\n\n\\1-grams:\n-0.5\t<unk>\n-99\t<s>\n-1\t</s>\n"
        + "".join(f"-{2 + place / 10:g}\t{word}\n" for place, word in enumerate(WORDS[1:]))
        + "-9\textra\n\n\\end\\\n",
        encoding="utf-8",
    )
    convert_ngrams.run(convert_ngrams.ConvertNgramsOptions(tmp_path / "few", model=tmp_path / "few.arpa"))
    (here / "few").symlink_to(tmp_path / "few")
    assert '"the"' in "".join(fused(here, "few:1"))


def test_kenlm_agrees_on_what_is_mixed(here: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="the kenlm package is not installed")
    model = kenlm.Model(str(here / "turned.arpa"))
    counts = [each[0] * math.log(10) for line in TEXT.splitlines() for each in model.full_scores(line)]
    alone, _ = scored(here, "lstm")
    mixed, _ = scored(here, "lstm", "turned:0.4")
    assert mixed == pytest.approx(np.log(0.6 * np.exp(alone) + 0.4 * np.exp(counts)).tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "the king sat\n" * 9 + "the cat ran.\n",
            "1 of 30 words ",
        ),
        ("Der König saß\nthe\n", "3 of 4 words "),
        ("the king sat\n\nzebra\n", None),
    ],
)
def test_untokenized_text_gets_a_warning(here: Path, tmp_path: Path, text: str, warning: str | None) -> None:
    (tmp_path / "text").write_text(text, encoding="utf-8")
    for model, warned in (("own", warning is not None), ("lstm", warning is not None), ("words", False)):
        events: list[Event] = []
        list(
            score.run(
                ScoreOptions(files=[tmp_path / "text"], model=here / model, threads=1, device="cpu"), events.append
            )
        )
        found = [event.text for event in events if isinstance(event, WarningEvent) and "rnnkit tokenize" in event.text]
        assert len(found) == warned
        assert all(warning and warning in line and "`rnnkit tokenize`" in line for line in found)
