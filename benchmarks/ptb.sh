#!/usr/bin/env bash
# Penn Treebank and WikiText-2, word level: n-grams, one recurrent network each, and mixtures, by the commands that anybody types.
#
#   RNNKIT_CORPORA=corpora benchmarks/ptb.sh [FOLDER]
#
# FOLDER (made where it is missing, a temporary one unless given) keeps the text, the workspaces and the scores. Needs
# `rnnkit` on the PATH. CORPORA in the environment picks some of `ptb wikitext-2`; the first takes about 20 minutes on two
# cores with bfloat16 products.
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'ptb/ and wikitext-2/' "${1:-}"

for corpus in ${CORPORA:-ptb wikitext-2}; do
    mkdir -p "$corpus"
    cd "$corpus"
    for split in train valid test; do
        gzip -dc "$corpora/$corpus"/*."$split".*.gz > "$split.en"
    done
    rnnkit tokenize train.en valid.en test.en --type spaces
    rnnkit vocab
    rnnkit align --keep-empty # WikiText-2 counts the end of its blank lines
    time rnnkit train-lm --arch ngram --order 5 --output work/counts
    rnnkit score --summary test.en --model work/counts
    time rnnkit train --arch lstm --sampled-softmax 1024
    rnnkit score --summary test.en
    rnnkit score --summary test.en --interpolate work/counts --cache --tune valid.en
    cd ..
done
