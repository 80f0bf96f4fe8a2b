"""Train a tagger of python-crfsuite or spaCy, or tag with it; `labelling.py` runs this in the rivals' own Python.

    python tagger_rivals.py crfsuite|spacy train|tag JOB

JOB is a JSON object: `folder` with the files SPLIT.TEXT and SPLIT.LABEL, `text` and `label`, their names, `model`, the
path of the trained model, and `hypotheses`, the file of predicted tags. `train` adds `spans` (whether tags are BIO),
`candidates` of crfsuite, or `language`, `seed` and `training` of spaCy; `tag` adds `input`. The result is one JSON
object on the last line of standard output.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

AFFIX = 4
"""Longest prefix and suffix of a word in the features of the CRF, in characters."""

NEIGHBORS = (-2, -1, 1, 2)
"""Positions whose words are features of the CRF, relative to the word."""

ROUNDING = 2

Sentences = list[list[str]]
Stopwatch = tuple[float, float]


def read(path: Path) -> Sentences:
    """Read words or tags, one sentence per line."""
    return [line.split(" ") for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def read_split(job: dict[str, Any], split: str) -> tuple[Sentences, Sentences]:
    """Read words and tags of a split."""
    words, tags = (read(Path(job["folder"], f"{split}.{job[name]}")) for name in ("text", "label"))
    return words, tags


def write(path: str, rows: Sequence[Sequence[str]]) -> None:
    """Write tags, one sentence per line."""
    Path(path).write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")


def start() -> Stopwatch:
    """Return the clock and the processor time."""
    return time.perf_counter(), time.process_time()


def elapsed(begin: Stopwatch) -> dict[str, float]:
    """Return seconds and processor seconds since `start`."""
    return {"seconds": time.perf_counter() - begin[0], "processor": time.process_time() - begin[1]}


# python-crfsuite


def shape(word: str) -> str:
    """Map characters to classes, and repeated classes to one character: `McDonald's` becomes `XxXx'x`."""
    classes = ["X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word]
    return "".join(c for i, c in enumerate(classes) if i == 0 or c != classes[i - 1])


def word_features(word: str) -> list[str]:
    """Return the features of a word by itself."""
    found = ["bias", f"w={word}", f"l={word.lower()}", f"s={shape(word)}"]
    for size in range(1, min(AFFIX, len(word)) + 1):
        found += [f"p={word[:size].lower()}", f"e={word[-size:].lower()}"]
    return found


def sentence_features(words: Sequence[str]) -> list[list[str]]:
    """Return the features of each word of a sentence: its own, and words and shapes at the positions `NEIGHBORS`."""
    rows = [word_features(word) for word in words]
    for index, row in enumerate(rows):
        for offset in NEIGHBORS:
            place = index + offset
            if 0 <= place < len(words):
                row += [f"{offset}l={words[place].lower()}", f"{offset}s={shape(words[place])}"]
            else:
                row.append(f"{offset}=none")
    return rows


def train_crfsuite(job: dict[str, Any]) -> dict[str, Any]:
    """Train a CRF with each candidate's options, and keep the best on the validation data.

    The seconds are those of the best candidate, features of the training data included.
    """
    import pycrfsuite

    words, tags = read_split(job, "train")
    valid_words, valid_tags = read_split(job, "valid")
    begin = start()
    items = [pycrfsuite.ItemSequence(sentence_features(sentence)) for sentence in words]
    features = elapsed(begin)
    valid_items = [pycrfsuite.ItemSequence(sentence_features(sentence)) for sentence in valid_words]
    candidates = []
    for number, candidate in enumerate(job["candidates"]):
        path = f"{job['model']}.{number}"
        begin = start()
        trainer = pycrfsuite.Trainer(algorithm=candidate["algorithm"], verbose=False)
        trainer.set_params({name: value for name, value in candidate.items() if name != "algorithm"})
        for item, row in zip(items, tags, strict=True):
            trainer.append(item, row)
        trainer.train(path)
        spent = {name: value + features[name] for name, value in elapsed(begin).items()}
        tagger = open_crfsuite(path)
        score = score_tags(valid_tags, [tagger.tag(item) for item in valid_items], job["spans"])
        candidates.append({"options": candidate, "valid": round(score, ROUNDING), **spent, "path": path})
        print(candidates[-1], file=sys.stderr, flush=True)
    best = max(candidates, key=lambda each: each["valid"])
    shutil.copyfile(best["path"], job["model"])
    for each in candidates:
        Path(each.pop("path")).unlink()
    return {**best, "candidates": candidates}


def open_crfsuite(path: str) -> Any:
    """Open a model."""
    import pycrfsuite

    tagger = pycrfsuite.Tagger()
    tagger.open(path)
    return tagger


def score_tags(gold: Sentences, predicted: Sentences, spans: bool) -> float:
    """Compute the accuracy of tags, or F1 of spans, in percent, to choose options."""
    if spans:
        wanted, found = ({(n, *s) for n, row in enumerate(rows) for s in read_spans(row)} for rows in (gold, predicted))
        return 200 * len(wanted & found) / max(1, len(wanted) + len(found))
    pairs = [pair for rows in zip(gold, predicted, strict=True) for pair in zip(*rows, strict=True)]
    return 100 * sum(one == other for one, other in pairs) / len(pairs)


def read_spans(tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield first word, end and type of each BIO span; a stray I- begins one."""
    begin, kind = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        if kind and tag != f"I-{kind}":
            yield begin, index, kind
            kind = ""
        if not kind and tag != "O":
            begin, kind = index, tag[2:]


def tag_crfsuite(job: dict[str, Any]) -> dict[str, Any]:
    """Tag a file; features are part of the seconds."""
    words, tagger = read(Path(job["input"])), open_crfsuite(job["model"])
    begin = start()
    found = [tagger.tag(sentence_features(sentence)) for sentence in words]
    return tagged(job, words, found, elapsed(begin))


def tagged(job: dict[str, Any], words: Sentences, found: Sentences, spent: dict[str, float]) -> dict[str, Any]:
    """Write the tags."""
    write(job["hypotheses"], found)
    return {**spent, "words": sum(map(len, words))}


# spaCy


def train_spacy(job: dict[str, Any]) -> dict[str, Any]:
    """Train spaCy's pipeline for efficiency, as `spacy train` does, with gold tokens; the best on `valid` is kept."""
    import spacy
    from spacy.cli.init_config import init_config
    from spacy.training.initialize import init_nlp
    from spacy.training.loop import train

    component = "ner" if job["spans"] else "tagger"
    config = init_config(lang=job["language"], pipeline=[component], optimize="efficiency")
    home = Path(job["model"])
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    blank = spacy.blank(job["language"])
    for split, name in (("train", "train"), ("valid", "dev")):
        write_documents(blank, job, split, home / f"{name}.spacy")
        config["paths"][name] = str(home / f"{name}.spacy")
        config["corpora"][name]["gold_preproc"] = True
    config["system"]["seed"] = job["seed"]
    config["training"].update(job["training"])
    with (home / "log").open("w", encoding="utf-8") as log:
        begin = start()
        nlp = init_nlp(config.interpolate())
        train(nlp, home, stdout=log, stderr=log)
        spent = elapsed(begin)
    best = json.loads((home / "model-best" / "meta.json").read_text(encoding="utf-8"))["performance"]
    score = best["ents_f"] if job["spans"] else best["tag_acc"]
    return {"options": job["training"], "valid": round(100 * score, ROUNDING), **spent}


def write_documents(nlp: Any, job: dict[str, Any], split: str, path: Path) -> None:
    """Write a split in spaCy's format."""
    from spacy.tokens import Doc, DocBin

    name = "ents" if job["spans"] else "tags"
    rows = zip(*read_split(job, split), strict=True)
    DocBin(docs=[Doc(nlp.vocab, words=words, **{name: tags}) for words, tags in rows]).to_disk(path)


def tag_spacy(job: dict[str, Any]) -> dict[str, Any]:
    """Tag a file, in the batches of the pipeline."""
    import spacy
    from spacy.tokens import Doc

    words, nlp = read(Path(job["input"])), spacy.load(Path(job["model"]) / "model-best")
    begin = start()
    documents = nlp.pipe(Doc(nlp.vocab, words=sentence) for sentence in words)
    found = [
        [f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type_ else "O" for token in document]
        if "ner" in nlp.pipe_names
        else [token.tag_ for token in document]
        for document in documents
    ]
    return tagged(job, words, found, elapsed(begin))


ACTIONS = {
    ("crfsuite", "train"): train_crfsuite,
    ("crfsuite", "tag"): tag_crfsuite,
    ("spacy", "train"): train_spacy,
    ("spacy", "tag"): tag_spacy,
}

if __name__ == "__main__":
    print(json.dumps(ACTIONS[sys.argv[1], sys.argv[2]](json.loads(sys.argv[3]))))
