"""`rnnkit average`: average the weights of several checkpoints or models, which often improves on each of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Listener, Note, null_listener
from rnnkit.io import lock, manifest
from rnnkit.io.artifact_output import atomic_directory
from rnnkit.io.atomic import copy_directory
from rnnkit.io.manifest import Workspace
from rnnkit.json_types import JsonObject
from rnnkit.options.declare import argument, option
from rnnkit.stages import shared_options as shared
from rnnkit.stages.outputs import check_output_folder

EXAMPLE = """\
rnnkit train --average 5 && rnnkit decode --checkpoint average < test.de
rnnkit average work/model
rnnkit average run1 run2 run3 --output work/mean"""


@dataclass(frozen=True)
class AverageOptions(shared.WorkspaceOptions, shared.OverwriteOptions):
    """Average weights: the last snapshots of a model, or the best weights of several models of one architecture.

    `rnnkit train --average N` keeps snapshots. With one model, the average is written to its directory as
    `average.safetensors`; several models yield a new model directory.
    """

    models: list[Path] = argument((), help="Model directories.", metavar="MODEL")
    output: Path | None = option(None, help="Model directory to write; needed for several models.", panel="Output")


@dataclass(frozen=True)
class AverageResult:
    """Result of averaging.

    Attributes:
        path: The weights file that was written.
        averaged: The weights files that were averaged.
    """

    path: Path
    averaged: list[Path]

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {"path": str(self.path), "averaged": [str(path) for path in self.averaged]}


def run(options: AverageOptions, listen: Listener = null_listener) -> AverageResult:
    """Average the snapshots of one model, or the best weights of several models.

    Raises:
        DataError: A model is missing, or has no snapshots.
        UsageError: --output is missing for several models, or given for one.
        ArtefactError: The models differ in architecture or vocabulary, or the output exists.
    """
    models = options.models or [Workspace(options.work).model]
    if len(models) == 1:
        return _average_snapshots(models[0], options, listen)
    if options.output is None:
        raise UsageError(
            "averaging several models needs --output", hint="name a directory for the new model", option="--output"
        )
    return _average_models(models, options.output, options, listen)


def _average_snapshots(folder: Path, options: AverageOptions, listen: Listener) -> AverageResult:
    from rnnkit.models import model_weights, store

    if options.output is not None:
        raise UsageError(
            "--output needs several models",
            "the average of one model is written to its own directory",
            option="--output",
        )
    store.read_config(folder)
    snapshots = sorted((folder / "snapshots").glob("step-*.safetensors"))
    if not snapshots:
        raise DataError(f"{folder} has no snapshots", hint="train with --average, for example --average 5", path=folder)
    path = folder / "average.safetensors"
    with lock.lock_directory(folder):
        mean = model_weights.average_weights([model_weights.load(snapshot)[0] for snapshot in snapshots])
        model_weights.save(path, mean, {"averaged": [snapshot.name for snapshot in snapshots]})
        meta = manifest.load(folder / manifest.NAME)
        if meta.files.keys() & {"best.safetensors"}:
            store.write_manifest(folder, meta.options, meta.inputs, meta.facts, finished=True)
    listen(Note(f"{path}: average of {len(snapshots)} snapshots"))
    return AverageResult(path, snapshots)


def _average_models(models: list[Path], output: Path, options: AverageOptions, listen: Listener) -> AverageResult:
    from rnnkit.models import model_weights, store

    check_output_folder(options, output, store.KIND)
    configs = [store.read_config(folder) for folder in models]
    first = models[0]
    for folder, config in zip(models, configs, strict=True):
        if config["network"] != configs[0]["network"]:
            raise ArtefactError(f"{folder} and {first} have different architectures", path=folder)
        for name in configs[0]["vocabularies"]:
            if manifest.sha256(folder / name) != manifest.sha256(first / name):
                raise ArtefactError(f"{folder} and {first} have different vocabularies", f"{name} differs", path=folder)
        _check_same_labels(folder, first)
    paths = [store.weights_path(folder, "best") for folder in models]
    mean = model_weights.average_weights([model_weights.load(path)[0] for path in paths])
    meta = manifest.load(first / manifest.NAME)
    with atomic_directory(output, store.KIND) as temporary:
        copy_directory(first / "tokenizer", temporary / "tokenizer")
        for name in (store.CONFIG_FILE, *configs[0]["vocabularies"]):
            shutil.copyfile(first / name, temporary / name)
        for name in _labeller_files(first):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(first / name, temporary / name)
        for path in first.glob(f"*.{manifest.NAME}"):
            shutil.copyfile(path, temporary / path.name)
        model_weights.save(temporary / "best.safetensors", mean, {"averaged": [str(path) for path in paths]})
        digests = {f"model.{number}": manifest.sha256(path) for number, path in enumerate(paths, start=1)}
        kept = {"longest": meta.facts["longest"]} if "longest" in meta.facts else {}
        store.write_manifest(
            temporary, meta.options, digests, {"languages": configs[0]["languages"], **kept}, finished=True
        )
    listen(Note(f"{output}: average of {len(models)} models"))
    return AverageResult(output / "best.safetensors", paths)


def _check_same_labels(folder: Path, first: Path) -> None:
    """Check that taggers or text classifiers predict the same labels, by the same language models and vectors."""
    from rnnkit.models.labelling import static_vectors
    from rnnkit.models.labelling.embedded_language_models import WEIGHTS_FILE
    from rnnkit.models.labelling.labelling_store import LABELS_FILE

    compared = {LABELS_FILE: "labels", WEIGHTS_FILE: "language models"}
    for name in _labeller_files(first):
        if name.name in compared and manifest.sha256(folder / name) != manifest.sha256(first / name):
            raise ArtefactError(
                f"{folder} and {first} have different {compared[name.name]}", f"{name} differs", path=folder
            )
    # The manifest of the vectors has the checksums of their files.
    paths = [each / static_vectors.FOLDER / manifest.NAME for each in (folder, first)]
    if paths[1].exists() and manifest.load(paths[0]).files != manifest.load(paths[1]).files:
        raise ArtefactError(
            f"{folder} and {first} have different word vectors", f"{static_vectors.FOLDER} differs", path=folder
        )


def _labeller_files(folder: Path) -> list[Path]:
    """Return the labels of a tagger or text classifier, and the files of its vectors and language models."""
    from rnnkit.models.labelling import embedded_language_models, static_vectors
    from rnnkit.models.labelling.labelling_store import LABELS_FILE

    parts = [folder / name for name in (static_vectors.FOLDER, embedded_language_models.FOLDER)]
    found = [path for part in parts for path in sorted(part.rglob("*")) if path.is_file()]
    labels = folder / LABELS_FILE
    return [path.relative_to(folder) for path in (*([labels] if labels.exists() else []), *found)]
