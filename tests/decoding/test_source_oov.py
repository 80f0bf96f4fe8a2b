"""Copying of out-of-vocabulary tokens: the same in every batch, ensemble and search, and in `score`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_models import SIZE, sharpen, speaker, tokenizer, translator, vocabulary

from rnnkit.decoding.constraints import UNCONSTRAINED
from rnnkit.decoding.ensemble import ExtendedVocabularyStepper
from rnnkit.decoding.rescoring import score_pairs
from rnnkit.decoding.sampling import SamplingOptions
from rnnkit.decoding.stepper import SearchOptions
from rnnkit.decoding.translate import TranslatedLine, TranslationOptions, translate_tokens
from rnnkit.decoding.translator import TranslationEnsemble, decode_ids, encode_tokens, source_oov_tokens
from rnnkit.models.steppers import NeuralPrompts, TranslationStepper
from rnnkit.models.store import LoadedSeq2Seq
from rnnkit.text import special_tokens
from rnnkit.text.tokenizer import FeaturedTokenizer

SOURCES = (("the", "Brno", "Wien", "Brno"), ("the", "king"), ("Wien",), ("Aa", "Bb", "Cc", "on", "Dd"), ())

COPIES: dict[str, dict[str, Any]] = {
    "gru": {"arch": "gru"},
    "monotonic": {"arch": "gru", "attention": "monotonic"},
    "feeding": {"arch": "lstm", "input_feeding": True, "attention": "additive"},
    "transformer": {"arch": "transformer"},
    "hybrid": {"arch": "hybrid", "cell": "ssru"},
}
SEARCHES = {
    "greedy": TranslationOptions(SearchOptions(beam=1, max_length=6), 1000),
    "beam": TranslationOptions(SearchOptions(beam=4, nbest=4, max_length=6), 1000),
    "groups": TranslationOptions(SearchOptions(beam=4, groups=2, diversity=0.5, nbest=2, max_length=6), 1000),
    "rules": TranslationOptions(SearchOptions(beam=3, min_length=4, no_repeat_ngram=1, max_length=6), 1000),
    "sampling": TranslationOptions(SearchOptions(nbest=3, max_length=6), 1000, sampling=SamplingOptions()),
}


def model(seed: int = 1, copies: bool = True, **changes: Any) -> LoadedSeq2Seq:
    table = vocabulary()
    network = translator(seed=seed, spread=1.0, **({"arch": "gru"} | changes), copy=copies)
    with torch.no_grad():  # mostly unknown words, mostly copied
        network.output_bias[special_tokens.UNK] += 6
        if copies:
            network.gate.bias.sub_(4)
    return LoadedSeq2Seq(Path("m"), network, tokenizer("words"), table, table, ("de", "en"), {})


def translated(
    translator: TranslationEnsemble, sources: Sequence[Sequence[str]], options: TranslationOptions
) -> list[TranslatedLine]:
    return list(translate_tokens(translator, sources, [UNCONSTRAINED] * len(sources), options))


def ensembles() -> dict[str, TranslationEnsemble]:
    language = speaker(seed=4)
    return {
        **{name: TranslationEnsemble((model(**shape),)) for name, shape in COPIES.items()},
        "two": TranslationEnsemble((model(1), model(2))),
        "with one that does not copy": TranslationEnsemble((model(1), model(2, copies=False))),
        "with a blind one": TranslationEnsemble((model(1), model(2, copies=False, attention="none"))),
        "both directions": TranslationEnsemble((model(1), model(2, right_to_left=True))),
        "backwards and blind": TranslationEnsemble(
            (model(1, right_to_left=True), model(2, copies=False, attention="none"))
        ),
        "fused": TranslationEnsemble((model(1),), (lambda count: NeuralPrompts(language, [()] * count),), (0.3,)),
    }


CREWS = ensembles()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("ensemble", CREWS)
def test_oov_tokens_of_a_line_are_independent_of_the_batch(ensemble: str, search: str) -> None:
    here, options = CREWS[ensemble], SEARCHES[search]
    if len(here.start_batch(torch.tensor([[4]]), torch.tensor([1]))) > 1 and options.sampling:
        pytest.skip("both directions do not draw")
    together, copied = translated(here, SOURCES, options), 0
    for index, (source, one) in enumerate(zip(SOURCES, together, strict=True)):
        (alone,) = translate_tokens(here, [source], [UNCONSTRAINED], options, index + 1)
        if "blind" not in ensemble:  # without attention, out-of-vocabulary tokens are equally probable in any order
            assert alone.tokens == one.tokens
        scores = [each.log_p for each in alone.hypotheses]
        assert scores == pytest.approx([each.log_p for each in one.hypotheses], abs=1e-4)
        generated = {token for tokens in one.tokens for token in tokens}
        assert generated <= {*vocabulary().ids, *source}
        copied += len(generated - vocabulary().ids.keys())
        assert len(set(one.outputs)) == len(one.outputs) or options.sampling
    assert copied or search == "greedy"


@pytest.mark.parametrize("ensemble", COPIES)
def test_scores_equal_decoding(ensemble: str) -> None:
    here = CREWS[ensemble]
    outputs = translated(here, SOURCES[:4], SEARCHES["beam"])
    for source, one in zip(SOURCES, outputs, strict=False):
        ids, own = here.encode(source)
        for tokens, hypothesis in zip(one.tokens, one.hypotheses, strict=True):
            target = encode_tokens(here.main.target_vocabulary, tokens, own)
            assert target == list(hypothesis.ids)
            (scores,) = score_pairs(here, [ids], [target])
            assert scores.sum() == pytest.approx(hypothesis.log_p, abs=1e-4)


@pytest.mark.parametrize("ensemble", [name for name in CREWS if name not in ("fused", "both directions")])
def test_extended_distribution_sums_to_one(ensemble: str) -> None:
    """Out-of-vocabulary tokens of other lines have probability zero."""
    here = CREWS[ensemble]
    encoded = [here.encode(source)[0] for source in SOURCES[:4]]
    source_BS = torch.tensor([[*ids, special_tokens.EOS, *[special_tokens.PAD] * (5 - len(ids))] for ids in encoded])
    direction = here.start_batch(source_BS, torch.tensor([len(ids) + 1 for ids in encoded]))[0]
    log_p_B1V, state, _ = direction.stepper.step(torch.full((4, 1), special_tokens.BOS), direction.stepper.start())
    assert log_p_B1V.shape[-1] == SIZE + 4
    torch.testing.assert_close(log_p_B1V.exp().sum(-1), torch.ones(4, 1))
    real_BX = log_p_B1V[:, 0, SIZE:] > -torch.inf
    assert real_BX.sum(-1).tolist() == [2, 0, 1, 4]
    log_p_B1V, _, _ = direction.stepper.step(torch.full((4, 1), SIZE), state)  # read as <unk>
    unknown_B1V, _, _ = direction.stepper.step(torch.full((4, 1), special_tokens.UNK), state)
    torch.testing.assert_close(log_p_B1V, unknown_B1V)


def test_unk_probability_is_split_by_attention() -> None:
    """The probability of <unk> without copying is split between <unk> and the out-of-vocabulary tokens."""
    network = model(3).network
    source_1S, length_1 = torch.tensor([[4, SIZE, SIZE + 1, SIZE, special_tokens.EOS]]), torch.tensor([5])
    unknown_1S = source_1S.masked_fill(source_1S >= SIZE, special_tokens.UNK)
    first_11 = torch.tensor([[special_tokens.BOS]])
    with torch.inference_mode():
        wide, plain = (
            TranslationStepper(network, source_1S, length_1),
            TranslationStepper(network, unknown_1S, length_1),
        )
        wide_V = wide.step(first_11, wide.start())[0].flatten().exp()
        plain_V = plain.step(first_11, plain.start())[0].flatten().exp()
    own = [special_tokens.UNK, SIZE, SIZE + 1]
    assert wide_V[own].sum() == pytest.approx(plain_V[special_tokens.UNK].item(), abs=1e-6)
    assert (wide_V[[SIZE, SIZE + 1]] > 0).all()
    torch.testing.assert_close(wide_V[2:SIZE], plain_V[2:])


def test_features_are_not_copied_and_lexicon_applies() -> None:
    here = replace(model(), tokenizer=FeaturedTokenizer(tokenizer("words")))
    assert source_oov_tokens(here, ("␉V", "Brno", "the", "␉␉x", "Brno")) == ("Brno", "␉␉x")
    ids = encode_tokens(vocabulary(), ("the", "Brno", "Wien"), ("Brno",))
    assert (ids[1:], decode_ids(vocabulary(), ids, ("Brno",))) == ([SIZE, special_tokens.UNK], ["the", "Brno", "<unk>"])
    options = replace(SEARCHES["beam"], keep_attention=True, replace_unknown=True, lexicon={"Wien": "Vienna"})
    (one,) = translated(TranslationEnsemble((model(),)), [("Wien", "Wien")], options)
    assert "Vienna" in {token for tokens in one.tokens for token in tokens}


def test_model_without_copy_mechanism_is_unchanged() -> None:
    here = TranslationEnsemble((model(copies=False),))
    assert here.encode(("the", "Brno")) == ([vocabulary().ids["the"], special_tokens.UNK], ())
    network = speaker(seed=4)
    sharpen(network, 4)
    wide = ExtendedVocabularyStepper(NeuralPrompts(network, [()]), SIZE, 2)
    log_p_11V, _, _ = wide.step(torch.tensor([[special_tokens.BOS]]), wide.start())
    assert log_p_11V.shape[-1] == SIZE + 2
    assert log_p_11V[0, 0, SIZE:].tolist() == log_p_11V[0, 0, [special_tokens.UNK] * 2].tolist()
