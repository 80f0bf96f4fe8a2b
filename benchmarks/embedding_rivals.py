"""Train word vectors with gensim or fastText; `embeddings.py` runs this in the rivals' own Python.

    python embedding_rivals.py gensim|fasttext JOB

JOB is a JSON object: the fields of `embedding_systems.Job`, the text as a path, and `output`, `format` (native or
word2vec, which is its binary) and `queries`, words to find the nearest known word of. The answer is one JSON object on
the last line of standard output: `seconds` of training, `words`, and `nearest` where something was asked.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def train_gensim(job: dict[str, Any]) -> dict[str, Any]:
    """Train gensim's Word2Vec from the file; counting the vocabulary is not part of the seconds."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        sg=int(job["method"] == "skipgram"),
        vector_size=job["dimension"],
        window=job["window"],
        negative=job["negatives"],
        sample=job["sample"],
        min_count=job["min_count"],
        workers=job["threads"],
        seed=job["seed"],
    )
    model.build_vocab(corpus_file=job["text"])
    start = time.perf_counter()
    model.train(
        corpus_file=job["text"],
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=job["epochs"],
    )
    seconds = time.perf_counter() - start
    if job["format"] == "native":
        model.save(job["output"])
    else:
        model.wv.save_word2vec_format(job["output"], binary=True)
    return {"seconds": seconds, "words": len(model.wv)}


def train_fasttext(job: dict[str, Any]) -> dict[str, Any]:
    """Train fastText; the vocabulary is counted in the same call, so the seconds hold that too.

    Its Python interface takes no seed.
    """
    import fasttext

    start = time.perf_counter()
    model = fasttext.train_unsupervised(
        job["text"],
        model=job["method"],
        dim=job["dimension"],
        ws=job["window"],
        neg=job["negatives"],
        t=job["sample"],
        minCount=job["min_count"],
        minn=job["min_ngram"] if job["subwords"] else 0,
        maxn=job["max_ngram"] if job["subwords"] else 0,
        epoch=job["epochs"],
        thread=job["threads"],
        verbose=0,
    )
    seconds = time.perf_counter() - start
    words = [word for word in model.words if word != "</s>"]
    if job["format"] == "native":
        model.save_model(job["output"])
    else:
        write_word2vec(model, words, job["output"])
    return {"seconds": seconds, "words": len(words), "nearest": nearest_words(model, words, job["queries"])}


def write_word2vec(model: Any, words: list[str], path: str) -> None:
    """Write the words' vectors in word2vec's binary format."""
    with Path(path).open("wb") as output:
        output.write(f"{len(words)} {model.get_dimension()}\n".encode())
        for word in words:
            output.write(f"{word} ".encode() + model.get_word_vector(word).tobytes() + b"\n")


def nearest_words(model: Any, words: list[str], queries: list[str]) -> list[str]:
    """The known word with the greatest cosine to each query, whose vector is made of its n-grams."""
    import numpy as np

    if not queries:
        return []
    known_VD = np.stack([model.get_word_vector(word) for word in words])
    known_VD /= np.maximum(np.linalg.norm(known_VD, axis=1, keepdims=True), 1e-12)
    asked_QD = np.stack([model.get_word_vector(query) for query in queries])
    return [words[row] for row in np.argmax(asked_QD @ known_VD.T, axis=1)]


if __name__ == "__main__":
    train = {"gensim": train_gensim, "fasttext": train_fasttext}[sys.argv[1]]
    print(json.dumps(train(json.loads(sys.argv[2]))))
