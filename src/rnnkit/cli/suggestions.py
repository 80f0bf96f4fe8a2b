"""What a user probably meant by a command or an option that does not exist: other tools' names, and typing errors.

No suggestion is better than a wrong one: only a name that differs in a letter or two is taken for a typing error.
"""

from __future__ import annotations

from collections.abc import Collection

COMMANDS = {
    "decode": "translate translator generate predict infer inference interactive onmt_translate "
    "fairseq-generate marian-decoder transcribe sample complete sockeye-translate fairseq-interactive "
    "joeynmt-translate marian_decoder trainer.predict pipeline",
    "align": "preprocess prepare binarize fairseq-preprocess onmt_preprocess make-data "
    "sockeye-prepare-data sockeye_prepare_data",
    "vocab": "build-vocab build_vocab onmt_build_vocab vocabulary dictionary marian-vocab sockeye-vocab "
    "debug-data init-vectors",
    "tokenize": "tokenise spm_train spm_encode spm-train spm-encode bpe subword-nmt learn-bpe apply-bpe encode segment",
    "detokenize": "detokenise spm_decode spm-decode",
    "align-words": "fast_align fast-align giza eflomal",
    "train": "fit fairseq-train onmt_train learn sockeye-train marian joeynmt-train hydra-train "
    "fairseq-hydra-train finetune fine-tune",
    "train-lm": "lmplz train_lm language-model ngram-count ngram_count run_clm run_mlm",
    "train-seq2seq": "seq2seq train_seq2seq train-nmt",
    "train-embeddings": "word2vec fasttext glove skipgram cbow embed train-vectors train-word2vec supervised pretrain",
    "neighbors": "neighbours most-similar most_similar nearest nn similar print-word-vectors similar_by_word "
    "similar-by-word",
    "analogy": "analogies wordsim compute-accuracy compute_accuracy",
    "odd-one-out": "doesnt-match doesnt_match outlier",
    "score": "perplexity ppl query evaluate-lm marian-scorer sockeye-score fairseq-score fairseq-eval-lm "
    "fairseq-validate ngram eval-lm",
    "bleu": "sacrebleu chrf ter multi-bleu evaluate eval benchmark accuracy fairseq-bleu",
    "error-rate": "wer cer per ser accuracy error_rate",
    "evaluate-labels": "seqeval conlleval classification-report classification_report f1 f1-score accuracy "
    "confusion-matrix confusion_matrix calibration mcnemar test-label evaluate_labels",
    "inspect": "info show describe stats",
    "verify": "check validate",
    "extract": "import from-csv read-csv read-conll csv-to-text conllu-to-text columns cut",
    "average": "average-checkpoints average_checkpoints ensemble swa sockeye-average average_models",
    "plot": "draw curve visualize visualise",
    "convert-ngrams": "build_binary arpa build-binary",
    "convert-embeddings": "convert word2vec2tensor save_word2vec_format load_word2vec_format init-vectors",
}
"""Commands, and what other tools call them."""

OPTIONS = {
    "learning-rate": "lr eta step-size initial-learning-rate learn-rate learningrate alpha",
    "arch": "model model-type model-name architecture rnn-type cell-type encoder-type decoder-type rnn net",
    "hidden": "hidden-size hidden-dim rnn-size units dim-rnn nhid state-size d-model rnn-num-hidden "
    "hidden-units enc-hid-size encoder-hidden-size dim-model",
    "embedding": "emb emb-size emb-dim embed-size embed-dim embedding-size embedding-dim word-vec-size "
    "emsize dim-emb num-embed encoder-embed-dim src-word-vec-size",
    "dimension": "dimensions dim vector-size vectors-size size vec-size embedding-dim",
    "layers": "num-layers n-layers nlayers depth enc-layers encoder-layer encoder-layers enc-depth "
    "num-encoder-layers encoder-num-layers",
    "heads": "num-heads n-heads nhead transformer-heads encoder-attention-heads num-attention-heads attention-heads",
    "batch-tokens": "batch-size batch bs max-tokens mini-batch mini-batch-words batch-type per-device-train-batch-size",
    "batch-size": "batch bs mini-batch per-device-train-batch-size",
    "steps": "bptt seq-len sequence-length",
    "epochs": "epoch num-epochs n-epochs max-epoch max-epochs iter niter after-epochs num-train-epochs max-num-epochs",
    "max-steps": "train-steps max-updates max-update num-steps total-steps after-batches max-num-updates "
    "training-steps",
    "clip": "clip-norm grad-clip max-grad-norm gradient-clipping",
    "warmup": "warmup-steps warmup-updates lr-warmup num-warmup-steps learning-rate-warmup",
    "validate-every": "valid-freq eval-every valid-steps eval-steps validation-freq checkpoint-interval "
    "save-interval-updates eval-interval evaluation-steps",
    "patience": "early-stopping early-stop max-num-checkpoint-not-improved early-stopping-patience",
    "label-smoothing": "smoothing label-smooth label-smoothing-eps label-smoothing-factor smooth",
    "tied": "tie-weights tie",
    "beam": "beam-size beam-width num-beams beams num-beam",
    "nbest": "n-best num-return-sequences",
    "length-penalty": "lenpen len-penalty alpha length-penalty-alpha normalize-scores",
    "max-length": "max-len max-len-b length maxlen max-output-length max-new-tokens max-tokens max-length- factor",
    "no-repeat-ngram": "no-repeat-ngram-size block-ngram-repeat no-repeat-ngrams",
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
    "method": "model algo algorithm sg skipgram",
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
    "dropout": "dropout-rate drop-rate dropout-prob drop-prob transformer-dropout hidden-dropout-prob "
    "dropout-rnn p-drop",
    "decoder-layers": "dec-layers dec-depth num-decoder-layers",
    "inner": "transformer-ff transformer-dim-ffn encoder-ffn-embed-dim intermediate-size ff-size ffn-dim "
    "feed-forward-size",
    "accumulate": "update-freq accum-count gradient-accumulation-steps optimizer-delay update-interval "
    "batch-multiplier",
    "schedule": "lr-scheduler lr-scheduler-type decay-method learning-rate-scheduler-type scheduling lr- schedule",
    "optimizer": "optim optimiser",
    "weight-decay": "l2 wd wdecay",
    "mean-decay": "ema ema-decay exponential-smoothing average-decay",
    "weight-drop": "wdrop dropconnect rnn-dropout-recurrent",
    "save-every": "save-checkpoint-steps save-freq save-interval save-steps",
    "report-every": "disp-freq log-interval logging-steps logging-freq report-freq",
    "coverage-penalty": "beta cov-penalty",
    "top-k": "sampling-topk random-sampling-topk topk",
    "top-p": "sampling-topp random-sampling-topp nucleus topp",
    "sample": "sampling do-sample",
    "seed": "random-seed rng-seed manual-seed",
    "min-count": "word-min-count minfreq min-freq min-frequency words-min-frequency mincount vocab-min-freq",
    "window": "ws window-size context-size",
    "negatives": "neg negative negative-samples n-negative",
    "min-ngram": "minn min-n",
    "max-ngram": "maxn max-n",
    "buckets": "bucket",
    "tune-seconds": "autotune-duration autotune",
    "folds": "k-fold kfold cv n-folds num-folds n-splits cross-validation",
    "prune": "gtmin gt3min",
    "interpolate": "mix-lm lm",
    "fusion": "lm-path language-model lm-model lm-weight",
    "embeddings": "pretrained-embeddings pre-word-vecs-enc embedding-vectors pretrained-vectors embedding- file",
    "shortlist": "lexical-shortlist restrict-lexicon",
    "constraints": "force-words lexical-constraints",
    "prefix-file": "force-decode target-prefix tgt-prefix prefix-size",
    "repair": "ignore-errors skip-errors bad-rows skip-bad-rows on-bad-lines bad-lines",
    "columns": "column fields usecols text-column label-column text-col label-col",
    "split": "splits train-test-split",
    "delimiter": "sep separator field-separator",
    "write-back": "predictions",
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
    "train-embeddings": {"input": "text files are named without a flag"},
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
