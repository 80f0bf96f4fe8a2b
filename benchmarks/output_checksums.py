"""SHA-256 checksums of what some thirty commands write: weights, text, scores, vectors, n-grams.

    python benchmarks/output_checksums.py --save before.json              # with the version to compare with
    python benchmarks/output_checksums.py --compare before.json           # with the version to check

Seeds are fixed, one thread computes, products are float32: the same version on the same machine writes the same bytes.
A change that only moves or renames code must leave every sum as it is. Files that hold times or prose (`meta.json`,
`metrics.jsonl`, the model card) are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CORPORA = Path(__file__).parents[1] / "sample_corpora"
NETWORK = (
    "--hidden 48 --embedding 32 --max-steps 40 --validate-every 20 --validate-lines 20 --precision fp32 --threads 1"
)
LANGUAGE = "--hidden 48 --embedding 32 --max-steps 40 --validate-every 20 --precision fp32 --threads 1"


@dataclass(frozen=True)
class Case:
    """One command.

    Attributes:
        words: The command line; `{parallel}` and `{text}` are the folders of the sample corpora.
        outputs: Files to sum; `stdout` is standard output.
        stdin: Text for standard input.
    """

    words: str
    outputs: tuple[str, ...] = ("stdout",)
    stdin: str = ""


CASES = {
    "tokenize": Case(
        "tokenize {parallel}/train.de {parallel}/train.en {parallel}/valid.de {parallel}/valid.en {parallel}/test.de"
        " {parallel}/test.en --type unigram --size 600 --threads 1",
        ("work/tokens/train.de.tok", "work/tokens/test.en.tok"),
    ),
    "vocab": Case("vocab", ("work/vocab.tsv",)),
    "align": Case("align --source de --target en", ("work/data/*.npy",)),
    "represent": Case("represent --kind bow --side de --output bags.npz", ("bags.npz",)),
    "phrases": Case("phrases {text}/train.txt --output joined.txt", ("joined.txt",)),
    "detokenize": Case("detokenize work/tokens/test.de.tok"),
    "align-words": Case(
        "align-words --output links.txt --lexicon lexicon --shortlist short --threads 1",
        ("links.txt", "lexicon", "short/*.npy"),
    ),
    "train, LSTM": Case(f"train-seq2seq --arch lstm {NETWORK} --output lstm", ("lstm/best.safetensors",)),
    "train, GRU": Case(
        f"train-seq2seq --arch gru --layers 2 --attention additive --copy --joint-embeddings {NETWORK}"
        " --dropout-embedding 0.1 --weight-drop 0.1 --average 2 --output gru",
        ("gru/best.safetensors", "gru/average.safetensors"),
    ),
    "train, minGRU": Case(
        f"train-seq2seq --arch mingru --attention location --recompute --accumulate 2 {NETWORK} --output mingru",
        ("mingru/best.safetensors",),
    ),
    "train, Transformer": Case(
        f"train-seq2seq --arch transformer --inner 64 {NETWORK} --embedding 48 --output transformer",
        ("transformer/best.safetensors",),
    ),
    "train, hybrid": Case(
        f"train-seq2seq --arch hybrid --inner 64 {NETWORK} --embedding 48 --output hybrid", ("hybrid/best.safetensors",)
    ),
    "average": Case("average lstm lstm --output mean", ("mean/*.safetensors",)),
    "decode, beam": Case("decode {parallel}/test.de --model lstm --beam 5 --nbest 2 --json --threads 1"),
    "decode, ensemble": Case("decode {parallel}/test.de --model lstm --model transformer --beam 3 --threads 1"),
    "decode, diverse": Case("decode {parallel}/test.de --model gru --beam 4 --groups 2 --nbest 4 --threads 1"),
    "decode, sampling": Case("decode {parallel}/test.de --model hybrid --sample --top-k 9 --seed 3 --threads 1"),
    "decode, int8": Case("decode {parallel}/test.de --model lstm --int8 --beam 2 --threads 1"),
    "decode, shortlist": Case(
        "decode {parallel}/test.de --model mingru --shortlist short --beam 2 --alignments pharaoh"
        " --output out --threads 1",
        ("out", "pharaoh"),
    ),
    "decode, constraints": Case(
        "decode - --model lstm --constraints phrases.txt --beam 3 --json --threads 1", stdin="der König schläft\n"
    ),
    "score, translations": Case("score {parallel}/test.de {parallel}/test.en --model lstm --json --tokens --threads 1"),
    "bleu": Case("bleu {parallel}/test.en --hypotheses out --json --metric bleu --metric chrf"),
    "error-rate": Case("error-rate {parallel}/test.en --hypotheses out --json"),
    "tokenize, words": Case(
        "tokenize {text}/train.txt {text}/valid.txt {text}/test.txt --type words --work lm --threads 1",
        ("lm/tokens/train.*.tok",),
    ),
    "vocab, words": Case("vocab --work lm --min-count 2", ("lm/vocab.tsv",)),
    "align, words": Case("align --work lm", ("lm/data/*.npy",)),
    "train, LM": Case(
        f"train-lm --work lm --arch lstm --layers 2 {LANGUAGE} --weight-drop 0.2 --dropout-embedding 0.1"
        " --activation-penalty 1 --temporal-penalty 1 --sampled-softmax 50 --output lm/lstm",
        ("lm/lstm/best.safetensors",),
    ),
    "train, Transformer LM": Case(
        f"train-lm --work lm --arch transformer {LANGUAGE} --embedding 48 --output lm/transformer",
        ("lm/transformer/best.safetensors",),
    ),
    "train, masked LM": Case(
        f"train-lm --work lm --cloze --arch gru {LANGUAGE} --output lm/cloze", ("lm/cloze/best.safetensors",)
    ),
    "train, n-grams": Case(
        "train-lm --work lm --arch ngram --order 4 --output lm/counts", ("lm/counts/*.safetensors",)
    ),
    "convert-ngrams": Case("convert-ngrams counts.arpa --model lm/counts", ("counts.arpa",)),
    "score, mixture": Case(
        "score {text}/test.txt --model lm/lstm --interpolate lm/counts:0.4 --cache --cache-weight"
        " 0.1 --cache-flatness 0.3"
        " --json --threads 1"
    ),
    "score, dynamic": Case("score {text}/test.txt --model lm/lstm --dynamic --json --threads 1"),
    "decode, LM": Case(
        "decode - --model lm/transformer --top-p 0.9 --seed 2 --nbest 2 --max-length 9 --threads 1", stdin="the king\n"
    ),
    "decode, n-grams": Case("decode - --model lm/counts --beam 3 --max-length 9 --threads 1", stdin="the king\n"),
    "decode, gaps": Case("decode - --model lm/cloze --fill --json --threads 1", stdin="the ___ is ___ .\n"),
    "train-embeddings": Case(
        "train-embeddings lm/tokens/train.*.tok --dimension 24 --epochs 1 --min-count 3 --seed 2"
        " --threads 1 --output sg",
        ("sg/*.npy",),
    ),
    "train-embeddings, CBOW": Case(
        "train-embeddings lm/tokens/train.*.tok --method cbow --subwords --buckets 2000 --dimension 24 --epochs 1"
        " --min-count 3 --threads 1 --output cbow",
        ("cbow/*.npy",),
    ),
    "neighbors": Case("neighbors king --vectors sg --json"),
    "analogy": Case("analogy king - man + woman --vectors cbow --json"),
    "convert-embeddings": Case("convert-embeddings vectors.vec --vectors cbow --to word2vec", ("vectors.vec",)),
    "evaluate-embeddings": Case("evaluate-embeddings {text}/analogies.txt --vectors sg --json"),
}


def checksum(data: bytes) -> str:
    """First half of a SHA-256: enough to see a difference, short enough to read."""
    return hashlib.sha256(data).hexdigest()[:32]


def run(name: str, case: Case, folder: Path) -> dict[str, str]:
    """Run one command in `folder`; return its checksums by output."""
    words = []
    for word in case.words.format(parallel=CORPORA / "parallel", text=CORPORA / "monolingual").split():
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]
        words += found
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", *words],
        cwd=folder,
        input=case.stdin.encode(),
        capture_output=True,
        env=environment,
    )
    if done.returncode:
        return {f"{name}: exit code": f"{done.returncode} {done.stderr.decode()[-500:]}"}
    sums = {}
    for output in case.outputs:
        paths = [] if output == "stdout" else sorted(folder.glob(output))
        if output == "stdout":
            sums[f"{name}: stdout"] = checksum(done.stdout)
        elif not paths:
            sums[f"{name}: {output}"] = "missing"
        for path in paths:
            sums[f"{name}: {path.relative_to(folder)}"] = checksum(path.read_bytes())
    return sums


def main() -> None:
    """Run every command; save the checksums, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, help="write the checksums to this file")
    parser.add_argument("--compare", type=Path, help="compare with the checksums in this file")
    asked = parser.parse_args()
    sums: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "phrases.txt").write_text("king\n", encoding="utf-8")
        for title, case in CASES.items():
            began = time.perf_counter()
            found = run(title, case, folder)
            sums |= found
            print(f"{title}: {len(found)} sums, {time.perf_counter() - began:.1f} s", file=sys.stderr)
            for key, value in found.items():
                if len(value) != 32:
                    print(f"  {key}: {value}", file=sys.stderr)
    if asked.save:
        asked.save.write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
    if asked.compare:
        before = json.loads(asked.compare.read_text(encoding="utf-8"))
        wrong = [key for key in sorted({*before, *sums}) if before.get(key) != sums.get(key)]
        for key in wrong:
            print(f"differs: {key}: {before.get(key)} before, {sums.get(key)} now")
        print(f"{len(before)} checksums of {len(CASES)} commands: {len(wrong)} differ")
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
