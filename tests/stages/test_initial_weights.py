"""Training that starts from word vectors: which embeddings get them, what is said, refused, recorded and resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.cli.conftest import Outcome
from tests.raising import raises
from tests.workspaces import SMALL, make_workspace

from rnnkit.cli import app
from rnnkit.errors import ArtefactError, ConfigError, DataError, RnnkitError, UsageError
from rnnkit.events import Event, Note, Status
from rnnkit.io import manifest
from rnnkit.models import model_weights, pretrained_embeddings
from rnnkit.stages.inference import decode, decode_options
from rnnkit.stages.training import train_seq2seq
from rnnkit.stages.training.run_folder import TrainingResult
from rnnkit.stages.training.train_seq2seq_options import TrainSeq2SeqOptions
from rnnkit.stages.training.training_inputs import PretrainedEmbeddings
from rnnkit.text.vocabulary import Vocabulary

DIMENSION = 10
SIZES: dict[str, Any] = {
    "hidden": 12, "embedding": DIMENSION, "batch_tokens": 120, "warmup": 5, "max_steps": 16, "validate_every": 8,
    "report_every": 4, "validate_lines": 6, "threads": 1, "precision": "fp32",
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="module")
def vectors(work: Path) -> dict[str, NDArray[np.float64]]:
    """Vectors of half of the joint vocabulary, and of nothing that another token might be looked up as."""
    tokens = Vocabulary.load(work / "vocab.tsv").tokens[4:]
    others = {
        spelling for token in tokens for spelling in pretrained_embeddings.spelling_variants(token) if spelling != token
    }
    random = np.random.default_rng(7)
    return {token: random.normal(0.3, 0.5, DIMENSION).round(4) for token in tokens[::2] if token not in others}


@pytest.fixture(scope="module")
def file(work: Path, vectors: dict[str, NDArray[np.float64]]) -> Path:
    return write(work.parent / "half.vec", vectors)


def write(path: Path, vectors: dict[str, NDArray[np.float64]]) -> Path:
    """A file of word2vec's text format."""
    rows = [f"{word} {' '.join(map(str, vector))}\n" for word, vector in vectors.items()]
    size = len(next(iter(vectors.values())))
    path.write_text(f"{len(rows)} {size}\n" + "".join(rows), encoding="utf-8")
    return path


def options(work: Path, output: Path, **changes: Any) -> TrainSeq2SeqOptions:
    return TrainSeq2SeqOptions(work=work, output=output, **{**SIZES, **changes})


def trained(work: Path, output: Path, listen: Any = lambda event: None, **changes: Any) -> dict[str, torch.Tensor]:
    """The best weights of a run."""
    result = train_seq2seq.run(options(work, output, **changes), listen)
    assert isinstance(result, TrainingResult)
    return model_weights.load(result.model / "best.safetensors")[0]


def assert_rows_are_vectors(table_VD: torch.Tensor, work: Path, vectors: dict[str, NDArray[np.float64]]) -> None:
    """The rows of words that have vectors are these, scaled to a mean square length of one."""
    tokens = Vocabulary.load(work / "vocab.tsv").tokens
    matrix = np.stack(list(vectors.values()))
    scaled = matrix / math.sqrt((matrix**2).sum(1).mean())
    rows = [tokens.index(word) for word in vectors]
    np.testing.assert_allclose(table_VD[rows].numpy(), scaled, rtol=1e-4, atol=1e-6)


def test_frozen_source_embeddings_stay_the_vectors(
    work: Path, file: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    heard: list[Event] = []
    found = trained(work, tmp_path / "a", heard.append, embeddings=[file], freeze_embeddings=True)
    assert_rows_are_vectors(found["source_embedding.weight"], work, vectors)
    assert not found["source_embedding.weight"][0].any()
    early = trained(work, tmp_path / "b", embeddings=[file], freeze_embeddings=True, max_steps=1)
    assert torch.equal(early["source_embedding.weight"], found["source_embedding.weight"])
    moved = [name for name in found if not torch.equal(early[name], found[name])]
    assert set(moved) == set(found) - {"source_embedding.weight"}
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert notes[0].startswith(f"de embeddings from {file}: ")
    assert notes[0].endswith("% of running tokens")
    size = found["source_embedding.weight"].numel()
    assert f" parameters ({size:,} frozen), float32 on cpu, 1 threads" in notes[1]
    text = tmp_path / "text.de"
    text.write_text("Der Hund.\n", encoding="utf-8")
    assert len(list(decode.run(decode_options.DecodeOptions(files=[text], model=[tmp_path / "a"])))) == 1


def test_two_files_are_for_source_and_target(
    work: Path, file: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    target = {word: vector[::-1].copy() for word, vector in list(vectors.items())[::2]}
    paths = [file, write(tmp_path / "target.vec", target)]
    heard: list[Event] = []
    found = trained(work, tmp_path / "a", heard.append, embeddings=paths, freeze_embeddings=True, tied=False)
    assert_rows_are_vectors(found["source_embedding.weight"], work, vectors)
    assert_rows_are_vectors(found["target_embedding.weight"], work, target)
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert [note.partition(" ")[0] for note in notes[:2]] == ["de", "en"]
    inputs = manifest.load(tmp_path / "a" / "meta.json").inputs
    assert inputs["embeddings.de"] == manifest.sha256(file)
    assert inputs["embeddings.en"] == manifest.sha256(paths[1])


def test_one_file_is_for_joint_embeddings_whole(
    work: Path, file: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    heard: list[Event] = []
    changes = {"embeddings": [file], "freeze_embeddings": True, "joint_embeddings": True, "tied": False}
    found = trained(work, tmp_path / "a", heard.append, **changes)
    assert_rows_are_vectors(found["source_embedding.weight"], work, vectors)
    assert next(event for event in heard if not isinstance(event, Status)) == Note(
        f"de and en embeddings from {file}: {joint_coverage(work, vectors)}"
    )
    assert manifest.load(tmp_path / "a" / "meta.json").inputs["embeddings"] == manifest.sha256(file)


def joint_coverage(work: Path, vectors: dict[str, NDArray[np.float64]]) -> str:
    """Counted by the vocabulary, which has seen what the training part of the data holds."""
    vocabulary = Vocabulary.load(work / "vocab.tsv")
    covered = sum(count for token, count in zip(vocabulary.tokens, vocabulary.counts, strict=True) if token in vectors)
    words, found = len(vocabulary) - 4, len(vectors)
    share = covered / sum(vocabulary.counts)
    return f"{found:,} of {words:,} words found ({found / words:.1%}), {share:.1%} of running tokens"


def test_embeddings_that_are_not_frozen_learn(
    work: Path, file: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    found = trained(work, tmp_path / "a", embeddings=[file, file])
    with pytest.raises(AssertionError):
        assert_rows_are_vectors(found["source_embedding.weight"], work, vectors)
    still = trained(work, tmp_path / "b", embeddings=[file, file], learning_rate=0.0, max_steps=1)
    assert_rows_are_vectors(still["source_embedding.weight"], work, vectors)
    assert_rows_are_vectors(still["output_weight"], work, vectors)  # tied: the target embeddings


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_a_resumed_run_ends_with_the_bytes_of_one_never_stopped(
    work: Path, file: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path, frozen: bool, with_checkpoint: bool
) -> None:
    own = write(tmp_path / "own.vec", vectors)
    changes = {"embeddings": [own], "freeze_embeddings": frozen}
    trained(work, tmp_path / "whole", **changes)

    def break_off(event: Event) -> None:
        # The note of a validation comes before its checkpoint is written.
        if isinstance(event, Note) and event.text.startswith(f"step {16 if with_checkpoint else 8}:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(work, tmp_path / "cut", break_off, **changes)
    assert (tmp_path / "cut" / "last").exists() == with_checkpoint
    if with_checkpoint:
        own.unlink()  # a checkpoint has all there is
    train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=tmp_path / "cut", resume=True, threads=1))
    for name in ("best.safetensors", "last/weights.safetensors", "last/optimiser.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    whole, resumed = (manifest.load(tmp_path / run / "meta.json") for run in ("whole", "cut"))
    assert whole.inputs == resumed.inputs
    assert manifest.find_mismatches(tmp_path / "cut") == []


def test_other_vectors_under_the_same_name_are_noticed(
    work: Path, vectors: dict[str, NDArray[np.float64]], tmp_path: Path
) -> None:
    own = write(tmp_path / "own.vec", vectors)

    def break_off(event: Event) -> None:
        if isinstance(event, Note) and event.text.startswith("step 8:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(work, tmp_path / "cut", break_off, embeddings=[own])
    write(own, dict(list(vectors.items())[1:]))
    with pytest.raises(ArtefactError, match="changed since: embeddings"):
        train_seq2seq.run(TrainSeq2SeqOptions(work=work, output=tmp_path / "cut", resume=True, threads=1))


def refused(kind: type[RnnkitError], work: Path, output: Path, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        train_seq2seq.run(options(work, output, **changes))
    assert not (output / "config.json").exists(), "nothing is begun"
    return str(caught.value)


def test_vectors_that_do_not_fit(work: Path, file: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert refused(ConfigError, work, model, embeddings=[file], embedding=256) == (
        f"the vectors of {file} have 10 dimensions, --embedding is 256\n  hint: --embedding 10"
    )
    strange = write(tmp_path / "strange.vec", {"zxcv": np.ones(DIMENSION), "qwer": np.ones(DIMENSION)})
    message = refused(DataError, work, model, embeddings=[strange])
    assert message.startswith(f"{strange} has no vector for any token of the vocabulary\n  the vocabulary has ")
    assert "; the vectors are of zxcv, qwer\n  hint: " in message and "--type words" in message
    with raises(DataError, path=tmp_path / "none.vec", option="--embeddings"):
        train_seq2seq.run(options(work, model, embeddings=[tmp_path / "none.vec"]))


@pytest.mark.parametrize(
    ("names", "frozen", "joint", "option", "value"),
    [
        ("", True, False, "--freeze-embeddings", "--embeddings"),
        ("abc", False, False, "--embeddings", "3"),
        ("ab", False, True, "--embeddings", "2"),
        ("ab", True, False, "--freeze-embeddings", "--tied"),
        ("a", True, True, "--freeze-embeddings", "--no-tied"),
    ],
)
def test_incompatible_options(names: str, frozen: bool, joint: bool, option: str, value: str) -> None:
    with raises(UsageError, value, option=option):
        PretrainedEmbeddings(tuple(map(Path, names)), frozen, joint).check(tied=True, init_from=None)


def test_vectors_and_another_model_are_not_both_the_beginning(work: Path, tmp_path: Path, file: Path) -> None:
    with raises(UsageError, "--init-from", option="--embeddings"):
        train_seq2seq.run(options(work, tmp_path, embeddings=[file], init_from=tmp_path / "other"))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line in this process."""

    def call(*words: str) -> Outcome:
        code = app.run(words)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def test_as_it_is_typed(work: Path, file: Path, tmp_path: Path, typed: Any) -> None:
    words = ["train", "--work", str(work), "--output", str(tmp_path / "model"), *SMALL]
    dry = typed(*words, "--embeddings", str(file), str(file), "--no-tied", "--freeze-embeddings", "--dry-run", "--json")
    assert dry.code == 0, dry.err
    facts = json.loads(dry.out)
    rows = len(Vocabulary.load(work / "vocab.tsv"))
    assert facts["frozen"] == 2 * rows * DIMENSION
    assert facts["checkpoint_bytes"] == 4 * (4 * facts["parameters"] - 2 * facts["frozen"])
    assert not (tmp_path / "model").exists()
    dry = typed(*words, "--embeddings", str(file), "--freeze-embeddings", "--dry-run")
    assert f", {rows * DIMENSION:,} of them frozen\n" in dry.out
    wrong = typed(*words, "--embeddings", str(file), str(file), "--freeze-embeddings")
    assert wrong.code == 2
    assert wrong.err.endswith("a single file of word vectors freezes only the source embeddings\n")
    done = typed(*words, "--embeddings", str(file), "--freeze-embeddings")
    assert done.code == 0, done.err
    assert "words found (" in done.err
    recorded = manifest.load(tmp_path / "model" / "meta.json").options
    assert (recorded["embeddings"], recorded["freeze-embeddings"]) == ([str(file)], True)
