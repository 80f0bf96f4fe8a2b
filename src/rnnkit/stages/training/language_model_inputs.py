"""Language models whose states represent the words of a tagger or text classifier, as inputs of its training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnnkit.errors import ArtefactError
from rnnkit.events import Note, Progress

if TYPE_CHECKING:
    import torch

    from rnnkit.data.aligned_data import SentenceDataset
    from rnnkit.data.character_spelling import SpelledWord, WordSpeller
    from rnnkit.data.labelled_data import LabelledData
    from rnnkit.data.state_cache import StateCache, States
    from rnnkit.io.npy import IntArray
    from rnnkit.models.labelling.language_model_states import LanguageModelStates
    from rnnkit.stages.training.labelling_options import LabellingOptions, TrainClassifierOptions, TrainTaggerOptions
    from rnnkit.stages.training.training_run import TrainingRun

    Run = TrainingRun[TrainTaggerOptions] | TrainingRun[TrainClassifierOptions]

BLOCK_WORDS = 1 << 14
"""Words whose states are computed and written at once; lines of similar length form batches within a block."""

TIMED_LINES = 200
"""Lines whose states a dry run computes."""


def input_folders(options: LabellingOptions, folder: Path) -> list[Path]:
    """Return the directories of the language models: of a resumed run, those inside its model directory."""
    from rnnkit.models import store
    from rnnkit.models.labelling.embedded_language_models import embedded_folders

    if not options.resume:
        return options.language_model
    return embedded_folders(folder, store.read_config(folder)["network"].get("language_models", []))


def input_digests(options: LabellingOptions, folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the weights of each language model, by its name in the manifest.

    Raises:
        DataError: A language model does not exist.
        ArtefactError: A model is not a neural language model.
    """
    from rnnkit.io import manifest
    from rnnkit.models import store
    from rnnkit.models.labelling import embedded_language_models as embedded

    digests = {}
    # The folds of a cross-validation have copies, its own directory has none.
    for path in options.language_model if options.folds else input_folders(options, folder):
        network = store.read_config(path)["network"]
        name = f"{embedded.INPUT}.{network.get('direction', 'forward')}"
        if (path / embedded.WEIGHTS_FILE).exists():
            digests[name] = manifest.sha256(path / embedded.WEIGHTS_FILE)
    return digests


def open_states(run: Run, device: torch.device) -> LanguageModelStates | None:
    """Load the language models of a run; None if it has none. Raises as `open_language_models`."""
    from rnnkit.models.labelling.embedded_language_models import open_language_models

    folders = input_folders(run.options, run.directory.path)
    if not folders:
        return None
    states = open_language_models(folders, device)
    named = (f"{model.network.config.direction} {model.folder}" for model in states.models)
    run.listen(Note(f"language models: {', '.join(named)}; {states.size} states for each word"))
    return states


def check_same_language_models(source: Path, states: LanguageModelStates | None) -> None:
    """Check that a model to fine-tune reads the states of the same language models.

    Raises:
        ArtefactError: It reads others, so that its weights would get states of another meaning.
    """
    from rnnkit.io import manifest
    from rnnkit.models import store
    from rnnkit.models.labelling.embedded_language_models import WEIGHTS_FILE, embedded_folders

    theirs = embedded_folders(source, store.read_config(source)["network"].get("language_models", []))
    ours = [] if states is None else [model.folder for model in states.models]
    digests = [[manifest.sha256(path / WEIGHTS_FILE) for path in folders] for folders in (theirs, ours)]
    if digests[0] != digests[1]:
        raise ArtefactError(
            f"--init-from {source} has other language models",
            f"it was trained with {len(theirs)}, here are {len(ours)}; its weights belong to their states",
            hint="".join(f" --language-model {path}" for path in theirs).strip() or "leave out --language-model",
            path=source,
            option="--init-from",
        )


@dataclass(frozen=True)
class SpelledText:
    """The lines of a split in words and their characters.

    Attributes:
        texts: Rows of the words of each line.
        words: The words of the table in characters.
        speller: Joins them to lines.
    """

    texts: SentenceDataset
    words: Sequence[SpelledWord]
    speller: WordSpeller

    def compute(self, states: LanguageModelStates, lines: Sequence[int]) -> list[States]:
        """Compute the states of the words of some lines."""
        return states.compute([self.speller.join(self.words[row] for row in self.texts[line]) for line in lines])

    def count_characters(self, lines: Sequence[int] | None = None) -> int:
        """Count the characters of some lines, or of all, without blanks."""
        import numpy as np

        length_W = np.array([len(word.ids) for word in self.words])
        rows = np.asarray(self.texts.ids) if lines is None else np.concatenate([self.texts[line] for line in lines])
        return int(length_W[rows].sum())


@dataclass(frozen=True)
class CachedStates:
    """The states of all splits.

    Attributes:
        splits: The states of each split; without `valid` in a process that does not validate.
        seconds: Time that computing them takes, estimated by a dry run; 0 otherwise.
    """

    splits: dict[str, StateCache]
    seconds: float = 0.0


def cache_states(
    run: Run, data: LabelledData, tokenizer: Path | None, states: LanguageModelStates | None
) -> CachedStates:
    """Compute the states of all words of train and valid, or map those that an earlier part of the run has computed.

    The main process writes them into the model directory, other processes into temporary files. A dry run computes
    those of some lines, and has zeros for all.

    Raises:
        ArtefactError: A file cannot be written.
    """
    from rnnkit.data.character_spelling import spell_table
    from rnnkit.data.labelled_data import TAGGING
    from rnnkit.text.tokenizer_store import load_tokenizer

    if states is None:
        return CachedStates({})
    has_marks = data.task != TAGGING and tokenizer is not None
    speller = states.speller(load_tokenizer(tokenizer) if has_marks and tokenizer is not None else None)
    words = spell_table(speller, data.table.words)
    names = ("train", "valid") if run.group.is_main else ("train",)
    texts = {split: SpelledText(data.side(split, data.text), words, speller) for split in names}
    if run.options.dry_run:
        seconds = sum(_estimate_seconds(states, text) for text in texts.values())
        return CachedStates({split: _zeros(text.texts, states.size) for split, text in texts.items()}, seconds)
    return CachedStates({split: _open_cache(run, states, split, text) for split, text in texts.items()})


def _open_cache(run: Run, states: LanguageModelStates, split: str, text: SpelledText) -> StateCache:
    from rnnkit.data.state_cache import StateCache, read_states, write_states
    from rnnkit.models.store import STATES_FOLDER

    size, words, offsets = states.size, len(text.texts.ids), text.texts.offsets
    if not run.group.is_main:
        # A mapped file stays readable after it is removed.
        with tempfile.TemporaryDirectory(prefix="rnnkit-") as folder:
            path = Path(folder) / f"{split}.npy"
            write_states(path, _blocks(run, states, split, text))
            return StateCache(_mapped(path, read_states(path, words, size)), offsets)
    path = run.directory / STATES_FOLDER / f"{split}.npy"
    found = read_states(path, words, size) if run.options.resume else None
    if found is None:
        write_states(path, _blocks(run, states, split, text))
        found = _mapped(path, read_states(path, words, size))
    return StateCache(found, offsets)


def _mapped(path: Path, found: States | None) -> States:
    if found is None:
        raise ArtefactError(f"{path} was removed or changed during the run", hint="start the run again", path=path)
    return found


def _blocks(run: Run, states: LanguageModelStates, split: str, text: SpelledText) -> Iterator[States]:
    """Yield the states of consecutive words, in blocks of whole lines."""
    import numpy as np

    total = len(text.texts)
    task = f"language model states of {split}"
    for first, end in line_blocks(text.texts.offsets):
        run.listen(Progress(task, first, total))
        yield np.concatenate(text.compute(states, range(first, end)))
    run.listen(Progress(task, total, total, finished=True))


def line_blocks(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Yield ranges of lines with at most `BLOCK_WORDS` words, at least one line each."""
    import numpy as np

    first, lines = 0, len(offsets) - 1
    while first < lines:
        end = int(np.searchsorted(offsets, offsets[first] + BLOCK_WORDS, side="right")) - 1
        yield first, max(first + 1, end)
        first = max(first + 1, end)


def _estimate_seconds(states: LanguageModelStates, text: SpelledText) -> float:
    """Estimate the time of computing the states of a split from some of its lines."""
    import numpy as np

    sample = np.unique(np.linspace(0, len(text.texts) - 1, TIMED_LINES).astype(np.int64)).tolist()
    text.compute(states, sample[:1])  # kernels are compiled or loaded
    began = time.perf_counter()
    text.compute(states, sample)
    seconds = time.perf_counter() - began
    return seconds * text.count_characters() / max(1, text.count_characters(sample))


def _zeros(texts: SentenceDataset, size: int) -> StateCache:
    import numpy as np

    from rnnkit.data.state_cache import StateCache

    return StateCache(np.broadcast_to(np.zeros((1, size), np.float16), (len(texts.ids), size)), texts.offsets)
