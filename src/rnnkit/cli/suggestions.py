"""What a user probably meant by a command or an option that does not exist: other tools' names, and typing errors.

No suggestion is better than a wrong one: only a name that differs in a letter or two is taken for a typing error.
"""

from __future__ import annotations

from collections.abc import Collection

COMMANDS = {
    "decode": "translate translator generate predict infer inference interactive onmt_translate fairseq-generate "
    "marian-decoder transcribe sample complete",
    "align": "preprocess prepare binarize fairseq-preprocess onmt_preprocess make-data",
    "vocab": "build-vocab build_vocab onmt_build_vocab vocabulary dictionary",
    "tokenize": "tokenise spm_train spm_encode spm-train spm-encode bpe subword-nmt learn-bpe apply-bpe encode segment",
    "detokenize": "detokenise spm_decode spm-decode",
    "align-words": "fast_align fast-align giza eflomal",
    "train": "fit fairseq-train onmt_train learn",
    "train-lm": "lmplz train_lm language-model",
    "train-seq2seq": "seq2seq train_seq2seq train-nmt",
    "train-embeddings": "word2vec fasttext glove skipgram cbow embed train-vectors train-word2vec",
    "neighbors": "neighbours most-similar most_similar nearest nn similar",
    "analogy": "analogies",
    "odd-one-out": "doesnt-match doesnt_match outlier",
    "score": "perplexity ppl query evaluate-lm",
    "bleu": "sacrebleu chrf ter multi-bleu evaluate eval",
    "error-rate": "wer cer per ser accuracy error_rate",
    "inspect": "info show describe stats",
    "verify": "check validate",
    "average": "average-checkpoints average_checkpoints ensemble swa",
    "plot": "draw curve visualize visualise",
    "convert-ngrams": "build_binary arpa",
}
"""Commands, and what other tools call them."""

OPTIONS = {
    "learning-rate": "lr eta step-size",
    "arch": "model model-type model-name architecture rnn-type cell-type encoder-type decoder-type rnn net",
    "hidden": "hidden-size hidden-dim rnn-size units dim-rnn nhid state-size d-model",
    "embedding": "emb emb-size emb-dim embed-size embed-dim embedding-size embedding-dim word-vec-size emsize",
    "dimension": "dimensions dim vector-size vectors-size",
    "layers": "num-layers n-layers nlayers depth enc-layers encoder-layer",
    "heads": "num-heads n-heads nhead",
    "batch-tokens": "batch-size batch bs max-tokens",
    "batch-size": "batch bs",
    "steps": "bptt seq-len sequence-length",
    "epochs": "epoch num-epochs n-epochs max-epoch max-epochs iter niter",
    "max-steps": "train-steps max-updates max-update num-steps total-steps",
    "clip": "clip-norm grad-clip max-grad-norm gradient-clipping",
    "warmup": "warmup-steps warmup-updates",
    "validate-every": "valid-freq eval-every valid-steps eval-steps",
    "patience": "early-stopping early-stop",
    "label-smoothing": "smoothing label-smooth",
    "tied": "tie-weights tie",
    "beam": "beam-size beam-width num-beams",
    "nbest": "n-best num-return-sequences",
    "length-penalty": "lenpen len-penalty alpha",
    "max-length": "max-len max-len-b length maxlen",
    "no-repeat-ngram": "no-repeat-ngram-size block-ngram-repeat",
    "temperature": "temp",
    "device": "gpu cuda gpus use-gpu cpu gpu-id",
    "precision": "fp16 bf16 amp half dtype",
    "output": "out o save save-dir save-model out-dir output-dir output-file save-path model-path destdir",
    "threads": "num-threads n-threads thread cpu-threads",
    "processes": "workers num-workers jobs nproc n-jobs nproc-per-node",
    "overwrite": "force f yes y replace",
    "resume": "continue restart load-checkpoint from-checkpoint train-from",
    "init-from": "pretrained finetune fine-tune finetune-from init",
    "size": "vocab-size vocabulary-size n-symbols merges bpe-size num-operations",
    "source": "src s source-lang src-lang source-language sl",
    "target": "tgt trg t target-lang tgt-lang target-language tl",
    "model": "m path checkpoint weights model-dir model-path",
    "hypotheses": "hyp hypothesis hyps system sys prediction predictions i input",
    "count": "k n top topn top-k topk",
    "vectors": "embeddings wv model",
    "order": "ngram n o",
    "input": "i in input-file",
    "type": "model-type tokenizer-type algorithm",
    "quiet": "silent q",
    "debug": "traceback verbose v",
    "normalize": "normalization normalization-rule-name nmt-nfkc",
}
"""Options, and what other tools call them. Of several that a command has, the first is meant."""

_FROM_ALIGN = "training reads what `rnnkit align --source LANG --target LANG` has made"
_ELSEWHERE = {
    "train": {"source": _FROM_ALIGN, "target": _FROM_ALIGN},
    "train-seq2seq": {"source": _FROM_ALIGN, "target": _FROM_ALIGN},
    "decode": {
        "source": "the text is read from standard input or from files named without a flag",
        "input": "the text is read from standard input or from files named without a flag",
    },
}
"""What an option's name means where a command has no such option, for a reason worth reading."""


def for_command(typed: str, known: Collection[str]) -> str | None:
    """A hint for a command that does not exist; None where nothing is near."""
    wanted = typed.lower()
    meant = [name for name, others in COMMANDS.items() if name in known and wanted in others.split()]
    meant = meant or nearest(wanted.replace("_", "-"), known)
    return f"did you mean {' or '.join(map(repr, meant))}?" if meant else None


def for_option(typed: str, command: str, known: Collection[str]) -> str | None:
    """A hint for an option that a command does not have; None where nothing is near.

    Args:
        typed: The option, with its hyphens.
        command: The command's name.
        known: The command's options, with their hyphens, and its arguments.
    """
    wanted = typed.lstrip("-").partition("=")[0].lower().replace("_", "-")
    names = {flag.lstrip("-"): flag for flag in known if flag.startswith("-")}
    if wanted.replace("-", "_") in known:
        return f"{wanted.upper()} is given without a flag"
    if wanted in names:
        return f"did you mean {names[wanted]}?"
    meant = [name for name, others in OPTIONS.items() if wanted in others.split()]
    for name in (*meant, wanted):
        if name in names:
            return f"did you mean {names[name]}?"
        if name in _ELSEWHERE.get(command, {}):
            return _ELSEWHERE[command][name]
    near = nearest(wanted, [name for name in names if len(name) > 1])
    return f"did you mean {' or '.join(names[name] for name in near)}?" if near else None


def nearest(typed: str, known: Collection[str]) -> list[str]:
    """The known names that are a typing error away from this one: those with the fewest, two at most."""
    allowed = 0 if len(typed) < 3 else 1 if len(typed) < 7 else 2
    distances = {name: _distance(typed, name) for name in known}
    least = min(distances.values(), default=allowed + 1)
    return [name for name, distance in distances.items() if distance == least <= allowed][:2]


def _distance(left: str, right: str) -> int:
    """Letters to insert, remove, replace or exchange with their neighbor."""
    before, row = [0] * (len(right) + 1), list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        older, before, row = before, row, [i] * (len(right) + 1)
        for j, b in enumerate(right, start=1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]
