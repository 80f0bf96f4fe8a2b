"""`train-embeddings`: vectors that reflect the topics of the text, and runs that are interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.raising import raises
from tests.topics import ENOUGH, LINES, WORDS, assert_topics_apart, topic_lines, write_topics

from rnnkit.embeddings.vectors import WordVectors
from rnnkit.errors import ArtefactError, ConfigError, DataError, Interrupted, RnnkitError, TrainingError, UsageError
from rnnkit.events import Event, Note, Progress, WarningEvent
from rnnkit.io import manifest
from rnnkit.stages.inference import neighbors
from rnnkit.stages.training.train_embeddings import EmbeddingTrainingEstimate, TrainEmbeddingsResult, run
from rnnkit.stages.training.train_embeddings_options import TrainEmbeddingsOptions
from rnnkit.training import checkpoint

TOKENS = sum(len(line.split()) for line in topic_lines())
METHODS: list[dict[str, Any]] = [
    {},
    {"method": "cbow"},
    {"method": "cbow", "cbow_gradient": "classic"},
    {"method": "cbow", "loss": "nce"},
    {"loss": "nce"},
    {"loss": "softmax"},
    {"subwords": True, "min_ngram": 2, "max_ngram": 3},
    {"plain_loops": True, "epochs": 10, "learning_rate": 0.25},
    {"dynamic_window": False, "window": 2, "negatives": 7, "sample": 0},
]
ALL_FILES = ["contexts.npy", "meta.json", "metrics.jsonl", "vectors.npy", "vocab.tsv"]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a text of two topics into the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_topics(Path("text.txt"))


def options(**changes: Any) -> TrainEmbeddingsOptions:
    return TrainEmbeddingsOptions(**{"text": [Path("text.txt")], "output": Path("vectors"), **ENOUGH, **changes})


def trained(listen: Callable[[Event], None] = lambda event: None, **changes: Any) -> TrainEmbeddingsResult:
    result = run(options(**changes), listen)
    assert isinstance(result, TrainEmbeddingsResult)
    return result


def refused(
    kind: type[RnnkitError], *values: object, path: str | None = None, option: str | None = None, **changes: Any
) -> None:
    """Check that the command with changed options fails with this error, whose message names the values."""
    with raises(kind, *values, path=path, option=option):
        run(options(**changes))


def stop_at(step: int, number: signal.Signals = signal.SIGTERM) -> Callable[[Event], None]:
    """Return a listener that sends this process a signal when training reaches the step."""

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.task == "training" and event.done == step and not event.finished:
            os.kill(os.getpid(), number)

    return listen


def artefact(folder: Path) -> dict[str, object]:
    """Read every file except the metrics, whose times vary, and the manifest without their checksum."""
    found: dict[str, object] = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != checkpoint.METRICS_FILE
    }
    listed = manifest.load(folder / manifest.NAME)
    files = {name: entry for name, entry in listed.files.items() if name != checkpoint.METRICS_FILE}
    return {**found, manifest.NAME: replace(listed, files=files)}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: " ".join(f"{k}={v}" for k, v in method.items()))
def test_words_of_one_topic_are_neighbors(text: Path, method: dict[str, Any]) -> None:
    result = trained(**method)
    assert (result.words, result.tokens, result.dimension) == (len(WORDS), TOKENS, 16)
    assert_topics_apart(Path("vectors"))


def test_output_files(text: Path) -> None:
    result = trained()
    folder = Path("vectors")
    assert sorted(path.name for path in folder.iterdir()) == ALL_FILES
    assert manifest.find_mismatches(folder) == []
    meta = manifest.read(folder, "vectors", 1)
    assert meta.facts == {
        "words": 12, "dimension": 16, "subwords": None, "finished": True, "tokens": TOKENS, "epochs": 30,
        "loss": result.loss,
    }  # fmt: skip
    assert meta.inputs == {"text.1": manifest.sha256(text)}
    assert (meta.options["text"], meta.options["dimension"], "output" in meta.options) == (["text.txt"], 16, False)
    vectors = WordVectors.load(folder)
    assert sorted(vectors.words) == WORDS
    counted = " ".join(topic_lines()).split()
    assert vectors.counts is not None
    assert vectors.counts.tolist() == [counted.count(word) for word in vectors.words]
    records = list(checkpoint.read_metrics(folder / checkpoint.METRICS_FILE))
    assert [record["step"] for record in records] == list(range(20, records[-1]["step"] + 1, 20))
    assert records[0]["loss"] > records[-1]["loss"] > 0
    assert records[0]["learning_rate"] > records[-1]["learning_rate"] > 0


def test_the_result(text: Path) -> None:
    heard: list[Event] = []
    result = trained(heard.append, min_count=1)
    assert json.loads(json.dumps(result.as_dict())).keys() == {
        "output", "words", "dimension", "tokens", "epochs", "loss", "seconds", "words_per_second", "memory_bytes",
    }  # fmt: skip
    assert result.words_per_second == pytest.approx(30 * TOKENS / result.seconds)
    assert 1.5 < result.loss < 3, "less than six coins, and noise can hit what it stands against"
    assert result.memory_bytes > 1 << 20
    assert result.lines[0] == "vectors: 12 vectors of dimension 16"
    assert result.lines[1].startswith(f"loss {result.loss:.4f} in the last epoch; ")
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert f"{TOKENS:,} words, 12 distinct; 12 occur at least 1 times and cover 100.0% of the text" in notes
    assert "skipgram, negative loss, learning rate 0.1, 1 thread, seed 1" in notes
    assert "12 words of dimension 16 take 0 MB of memory" in notes


def test_subwords_are_kept_and_compose_unseen_words(text: Path) -> None:
    trained(subwords=True, min_ngram=2, max_ngram=3)
    assert sorted(path.name for path in Path("vectors").iterdir()) == sorted([*ALL_FILES, "subwords.npy"])
    assert manifest.read(Path("vectors"), "vectors", 1).facts["subwords"]["max_length"] == 3
    (nearest,) = neighbors.run(neighbors.NeighborsOptions(words=["planets"], vectors=Path("vectors"), count=1))
    assert nearest.as_dict()["neighbors"][0]["word"] == "planet"


def test_ngram_weights(text: Path) -> None:
    for shortest in (2, 3):
        for kind in ("length", "equal"):
            folder = Path(f"{kind}{shortest}")
            trained(output=folder, subwords=True, min_ngram=shortest, max_ngram=3, ngram_weights=kind)
    found = {path.parent.name: path.read_bytes() for path in Path().glob("*/vectors.npy")}
    assert found["length2"] != found["equal2"]
    assert found["length3"] == found["equal3"], "all are of one length"


def test_one_thread_and_seed_give_the_same_bytes(text: Path) -> None:
    for name in ("one", "two"):
        trained(output=Path(name), subwords=True)
    assert artefact(Path("one")) == artefact(Path("two"))
    trained(output=Path("three"), subwords=True, seed=2)
    assert Path("one/vectors.npy").read_bytes() != Path("three/vectors.npy").read_bytes()


def test_several_threads(text: Path) -> None:
    result = trained(threads=3)
    assert result.words_per_second == pytest.approx(30 * TOKENS / result.seconds)
    assert_topics_apart(Path("vectors"))


@pytest.mark.parametrize("step", [20, 80, 100])
@pytest.mark.parametrize("method", [{}, {"method": "cbow"}, {"subwords": True}], ids=str)
def test_resumed_run_equals_uninterrupted_run(text: Path, method: dict[str, Any], step: int) -> None:
    trained(output=Path("whole"), **method, epochs=60)
    with pytest.raises(Interrupted) as caught:
        trained(stop_at(step), **method, epochs=60)
    assert caught.value.exit_code == 143
    assert f"step {step}" in str(caught.value)
    assert manifest.read(Path("vectors"), "vectors", 1).facts["finished"] is False
    assert len(WordVectors.load(Path("vectors"))) == 12, "the vectors so far can be read"
    heard: list[Event] = []
    result = run(TrainEmbeddingsOptions(output=Path("vectors"), resume=True, threads=1), heard.append)
    assert isinstance(result, TrainEmbeddingsResult)
    assert Note(f"resuming from step {step}") in heard
    assert artefact(Path("vectors")) == artefact(Path("whole"))
    steps = [record["step"] for record in checkpoint.read_metrics(Path("vectors") / checkpoint.METRICS_FILE)]
    assert steps == sorted(set(steps)), "nothing is measured twice"


def test_resume_after_several_interruptions(text: Path) -> None:
    trained(output=Path("whole"), epochs=60)
    with pytest.raises(Interrupted):
        trained(stop_at(20), epochs=60)
    for step in (40, 60, 100):
        with pytest.raises(Interrupted):
            run(TrainEmbeddingsOptions(output=Path("vectors"), resume=True, threads=1), stop_at(step))
    run(TrainEmbeddingsOptions(output=Path("vectors"), resume=True, threads=1))
    assert artefact(Path("vectors")) == artefact(Path("whole"))


def test_resume_after_kill_before_first_checkpoint(text: Path) -> None:
    trained(output=Path("whole"))

    def die(event: Event) -> None:
        if isinstance(event, Progress) and event.task == "training":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(die)
    heard: list[Event] = []
    run(TrainEmbeddingsOptions(output=Path("vectors"), resume=True, threads=1), heard.append)
    assert Note("vectors has no checkpoint yet: starting from the beginning") in heard
    assert artefact(Path("vectors")) == artefact(Path("whole"))


def test_refuses_to_resume(text: Path) -> None:
    refused(ArtefactError, "vectors", "--resume", text=[], resume=True)
    trained()
    refused(ConfigError, "--init-from", path="vectors", option="--resume", text=[], resume=True)
    refused(UsageError, option="--resume", resume=True)
    with pytest.raises(Interrupted):
        trained(stop_at(20), overwrite=True)
    refused(ConfigError, "vectors", "--dimension: 16", 7, "--init-from", text=[], resume=True, dimension=7)


def test_refuses_to_resume_converted_vectors(text: Path) -> None:
    trained()
    meta = manifest.load(Path("vectors/meta.json"))
    facts = {name: fact for name, fact in meta.facts.items() if name in ("words", "dimension", "subwords")}
    manifest.write(Path("vectors/meta.json"), replace(meta, options={}, facts=facts))
    refused(ConfigError, "finished", path="vectors", text=[], resume=True)


def test_a_dry_run_writes_nothing(text: Path) -> None:
    cost = run(options(dry_run=True, subwords=True, buckets=100))
    assert isinstance(cost, EmbeddingTrainingEstimate)
    assert not Path("vectors").exists()
    rows = 2 * (12 + 4) + 100
    assert cost.as_dict() == {
        "words": 12, "tokens": TOKENS, "memory_bytes": 4 * 16 * (rows + 16), "disk_bytes": cost.disk_bytes,
    }  # fmt: skip
    assert cost.disk_bytes > 2 * cost.memory_bytes + 4 * TOKENS + 8 * LINES
    assert cost.lines[0] == f"words   12, from {TOKENS:,} words of running text"
    trained()
    assert isinstance(run(options(dry_run=True)), EmbeddingTrainingEstimate), "it does not mind what is there"
    assert len(WordVectors.load(Path("vectors"))) == 12


def test_refuses_divergence(text: Path) -> None:
    with pytest.raises(TrainingError) as raised:
        run(options(learning_rate=1e30))
    assert all(value in str(raised.value) for value in ("loss", "step 1", "vectors", "--learning-rate"))


def test_refuses_single_word_lines(text: Path) -> None:
    text.write_text("wine\nbread\n" * 9, encoding="utf-8")
    tries: list[dict[str, Any]] = [{}, {"sample": 0}, {"epochs": 1}]
    for changes in tries:
        with pytest.raises(DataError) as caught:
            trained(**changes)
        assert caught.value.exit_code == 1
        assert "single word" in caught.value.what
        assert "rnnkit tokenize" in str(caught.value)
        assert "--sample" not in str(caught.value)
        assert not Path("vectors").exists()


def test_single_word_lines_keep_existing_vectors(text: Path) -> None:
    trained()
    before = artefact(Path("vectors"))
    text.write_text("我们今天去北京吃烤鸭。\n他们昨天在上海喝茶。\n" * 50, encoding="utf-8")
    refused(DataError, "single word", overwrite=True)
    assert artefact(Path("vectors")) == before


def test_refuses_lines_with_too_few_frequent_words(text: Path) -> None:
    text.write_text("".join(f"wine w{n}\nx{n} bread y{n}\n" for n in range(9)), encoding="utf-8")
    refused(DataError, "no line has two words", "--min-count 5")
    assert not Path("vectors").exists()


def test_subsampling_that_keeps_nothing(text: Path) -> None:
    text.write_text("wine bread\n" * 9, encoding="utf-8")
    heard: list[Event] = []
    assert trained(heard.append, sample=1e-9).loss == 0
    (warning,) = (event.text for event in heard if isinstance(event, WarningEvent))
    assert "--sample 1e-09" in warning
    assert not np.load("vectors/contexts.npy", allow_pickle=False).any()


@pytest.mark.parametrize("plain_loops", [False, True])
def test_wide_windows_of_few_words_do_not_diverge(text: Path, plain_loops: bool) -> None:
    """A hundred updates of one word from the same stale row would diverge."""
    text.write_text("wine bread " * 3000, encoding="utf-8")
    result = trained(window=50, sample=0, epochs=1, learning_rate=0, plain_loops=plain_loops)
    assert result.loss < 6 * np.log(2)


def test_resumed_run_reports_the_loss_of_the_last_epoch(text: Path) -> None:
    with pytest.raises(Interrupted):
        trained(stop_at(20))
    resumed = run(TrainEmbeddingsOptions(output=Path("vectors"), resume=True, threads=1))
    whole = trained(output=Path("whole"))
    assert isinstance(resumed, TrainEmbeddingsResult)
    assert resumed.loss == whole.loss
    assert resumed.epochs == 30
    assert resumed.words_per_second == pytest.approx(30 * TOKENS / resumed.seconds)
