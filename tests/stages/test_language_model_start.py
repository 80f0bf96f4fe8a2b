"""Taggers and classifiers that start from a language model: shape, weights, frozen layers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.raising import raises
from tests.workspaces import SMALL_LABELS, make_labelled_workspace, make_text_workspace

from rnnkit.errors import ArtefactError, UsageError
from rnnkit.events import Event, Listener, Note, null_listener
from rnnkit.models import model_weights
from rnnkit.models.labelling.labelling_store import load_labeller
from rnnkit.models.labelling.tagger import TaggerNetwork
from rnnkit.models.labelling.text_classifier import ClassifierNetwork
from rnnkit.models.lm_store import load_language_model
from rnnkit.stages.text import align, align_options, vocab
from rnnkit.stages.training import train_classifier, train_lm, train_tagger
from rnnkit.stages.training.labelling_options import TrainClassifierOptions, TrainTaggerOptions
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.text.special_tokens import PAD
from rnnkit.training.dry_run import CostEstimate

CPU = torch.device("cpu")
SIZES = ("hidden", "embedding")
SMALL = {name: value for name, value in SMALL_LABELS.items() if name not in SIZES}
"""Options of a short run, without the sizes that the language model has."""

SHORT_LM: dict[str, Any] = {
    "batch_size": 5, "steps": 7, "max_steps": 4, "validate_every": 4, "threads": 1, "precision": "fp32",
}  # fmt: skip


def trained_lm(work: Path, output: Path, **changes: Any) -> Path:
    sizes = {"hidden": 7, "embedding": 5, "layers": 2}
    train_lm.run(TrainLMOptions(work=work, output=output, **{**sizes, **SHORT_LM, **changes}))
    return output


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data` has tags, `long` labels of lines; `lm` is a language model of the same text, in the same vocabulary."""
    work = make_labelled_workspace(tmp_path_factory.mktemp("labels"), "tags")
    align.run(align_options.AlignOptions(text="form", labels=["long"], work=work, output=work / "long"))
    align.run(align_options.AlignOptions(text="form", work=work, output=work / "text"))
    trained_lm(work, work / "lm", data=work / "text")
    return work


def tagger_options(work: Path, output: Path, **changes: Any) -> TrainTaggerOptions:
    return TrainTaggerOptions(work=work, output=output, **{**SMALL, "init_from": work / "lm", **changes})


def classifier_options(work: Path, output: Path, **changes: Any) -> TrainClassifierOptions:
    given = {**SMALL, "data": work / "long", "init_from": work / "lm", **changes}
    return TrainClassifierOptions(work=work, output=output, **given)


def trained(options: TrainTaggerOptions | TrainClassifierOptions, listen: Listener = null_listener) -> Path:
    result = (
        train_tagger.run(options, listen)
        if isinstance(options, TrainTaggerOptions)
        else train_classifier.run(options, listen)
    )
    assert isinstance(result, TrainingResult)
    return result.model


def encoder_weights(model: Path) -> dict[str, torch.Tensor]:
    tensors, _ = model_weights.load(model / "best.safetensors")
    return {name: tensor for name, tensor in tensors.items() if name.startswith("encoder.")}


def language_model_weights(model: Path) -> dict[str, torch.Tensor]:
    """The weights of a language model that an encoder has, by their names there."""
    network = load_language_model(model, "best", CPU).network
    embedding_VE = network.embedding.weight.detach().clone()
    embedding_VE[PAD] = 0
    layers = {f"encoder.layers.layers.{name}": tensor for name, tensor in network.layers.state_dict().items()}
    return {"encoder.embedding.weight": embedding_VE, **layers}


@pytest.mark.parametrize("make", [tagger_options, classifier_options])
def test_the_sizes_are_those_of_the_language_model(work: Path, tmp_path: Path, make: Any) -> None:
    model = trained(make(work, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())["network"]
    expected = {
        "arch": "lstm", "layers": 2, "hidden": 7, "embedding": 5, "last_hidden": 5, "bidirectional": False,
        "causal": True, "characters": "none", "residual": False, "layer_norm": False,
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected
    recorded = json.loads((model / "meta.json").read_text())["options"]
    assert (recorded["hidden"], recorded["bidirectional"]) == (7, False)


@pytest.mark.parametrize("make", [tagger_options, classifier_options])
def test_frozen_layers_are_those_of_the_language_model(work: Path, tmp_path: Path, make: Any) -> None:
    options = make(work, tmp_path / "model", unfreeze="none", weight_decay=0.1, optimizer="adamw")
    notes: list[Event] = []
    model = trained(options, notes.append)
    found, expected = encoder_weights(model), language_model_weights(work / "lm")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    frozen = sum(tensor.numel() for tensor in expected.values())
    assert any(isinstance(note, Note) and f"({frozen:,} frozen)" in note.text for note in notes)


def test_gradual_unfreezing_goes_from_the_top_down(work: Path, tmp_path: Path) -> None:
    """Of two layers and the embedding, two epochs train the upper layer only."""
    probe = classifier_options(work, tmp_path / "probe", dry_run=True)
    estimate = train_classifier.run(probe)
    assert isinstance(estimate, CostEstimate)
    steps = 2 * estimate.batches_per_epoch
    options = classifier_options(work, tmp_path / "model", unfreeze="gradual", layer_decay=0.5, max_steps=steps)
    found, expected = encoder_weights(trained(options)), language_model_weights(work / "lm")
    moved = {name for name in expected if not torch.equal(found[name], expected[name])}
    assert moved == {name for name in expected if name.startswith("encoder.layers.layers.1.")}


@pytest.mark.parametrize("arch", ["mingru", "transformer"])
def test_every_kind_of_layers(work: Path, tmp_path: Path, arch: str) -> None:
    sizes = {"hidden": 8, "embedding": 8, "heads": 2} if arch == "transformer" else {}
    source = trained_lm(work, tmp_path / "lm", data=work / "text", arch=arch, **sizes)
    model = trained(tagger_options(work, tmp_path / "model", init_from=source, characters="cnn", recompute=True))
    network = load_labeller(model, "best", CPU).network
    assert isinstance(network, TaggerNetwork)
    assert network.config.arch == arch
    assert network.config.state_size == (8 if arch == "transformer" else 5) + 6


def test_words_that_the_language_model_lacks_are_reported(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "vocab.tsv"
    vocab.run(vocab.VocabOptions(work=work, output=other, min_count=2))
    align.run(align_options.AlignOptions(text="form", work=work, vocab=[other], output=tmp_path / "text"))
    source = trained_lm(work, tmp_path / "lm", data=tmp_path / "text", vocab=[other])
    notes: list[Event] = []
    trained(tagger_options(work, tmp_path / "model", init_from=source), notes.append)
    known, own = (len(path.read_text().splitlines()) for path in (other, work / "vocab.tsv"))
    shown = f"{known:,} of {own:,} tokens found; {own - known:,} new"
    assert any(isinstance(note, Note) and shown in note.text for note in notes)


@pytest.mark.parametrize("unfreeze", ["none", "gradual"])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(work: Path, tmp_path: Path, unfreeze: str) -> None:
    """The language model is needed no more."""

    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 16:"):
            raise KeyboardInterrupt

    source = trained_lm(work, tmp_path / "lm", data=work / "text")
    small: dict[str, Any] = {"init_from": source, "unfreeze": unfreeze, "layer_decay": 0.4, "weight_decay": 0.01}
    trained(tagger_options(work, tmp_path / "whole", **small))
    with pytest.raises(KeyboardInterrupt):
        trained(tagger_options(work, tmp_path / "model", **small), break_off)
    source.rename(tmp_path / "moved")
    trained(TrainTaggerOptions(work=work, output=tmp_path / "model", resume=True, threads=1))
    for name in ("best.safetensors", *(f"last/{part}.safetensors" for part in ("weights", "optimiser", "random"))):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "model" / name).read_bytes(), name


def test_fine_tuning_of_a_model_that_started_from_a_language_model(work: Path, tmp_path: Path) -> None:
    first = trained(classifier_options(work, tmp_path / "first", characters="ngrams"))
    options = classifier_options(
        work, tmp_path / "second", init_from=first, characters="ngrams", max_steps=8, learning_rate=0.0, mean_decay=0.0
    )
    second = trained(options)
    networks = [load_labeller(model, "best", CPU).network for model in (first, second)]
    for one, other in zip(*(each.parameters() for each in networks), strict=True):  # type: ignore[union-attr]
        assert torch.equal(one, other)
    assert all(isinstance(each, ClassifierNetwork) and each.config.causal for each in networks)


@pytest.mark.parametrize(
    ("changes", "values", "option"),
    [
        ({"hidden": 12}, (12, 7), "--hidden"),
        ({"embedding": 4}, (4, 5), "--embedding"),
        ({"layers": 1}, (1, 2), "--layers"),
        ({"arch": "gru"}, ("gru", "lstm"), "--arch"),
        ({"bidirectional": True}, (), "--bidirectional"),
        ({"residual": True}, (), "--residual"),
        ({"layer_norm": True}, (), "--layer-norm"),
        ({"init_from": None, "unfreeze": "none"}, ("--init-from",), "--unfreeze"),
        ({"init_from": None, "layer_decay": 0.4}, ("--init-from",), "--layer-decay"),
    ],
    ids=str,
)
def test_options_that_contradict_the_language_model(
    work: Path, tmp_path: Path, changes: dict[str, Any], values: tuple[object, ...], option: str
) -> None:
    with raises(UsageError, *values, option=option):
        trained(tagger_options(work, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("kind", "error"), [("words", ArtefactError), ("chars", UsageError)])
def test_another_tokenizer_is_refused(
    work: Path, tmp_path: Path, kind: str, error: type[ArtefactError | UsageError]
) -> None:
    other = make_text_workspace(tmp_path, kind)
    source = trained_lm(other, tmp_path / "lm")
    with raises(error, source, work / "data", path=source, option="--init-from"):
        trained(tagger_options(work, tmp_path / "model", init_from=source))


def test_dry_run(work: Path, tmp_path: Path) -> None:
    frozen = sum(tensor.numel() for tensor in language_model_weights(work / "lm").values())
    for unfreeze, expected in (("none", frozen), ("gradual", 0), ("all", 0)):
        estimate = train_tagger.run(tagger_options(work, tmp_path / "model", unfreeze=unfreeze, dry_run=True))
        assert isinstance(estimate, CostEstimate)
        assert estimate.frozen == expected
    assert not (tmp_path / "model").exists()
