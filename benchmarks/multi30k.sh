#!/usr/bin/env bash
# German to English on Multi30k, the README's six commands with no other option, then a shorter run.
#
#   RNNKIT_CORPORA=corpora benchmarks/multi30k.sh [FOLDER]
#
# FOLDER (made where it is missing, a temporary one unless given) keeps the text, the workspace and the outputs. Needs
# `rnnkit` on the PATH; takes about half an hour on two cores with bfloat16 products.
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'multi30k/' "${1:-}"

for name in train:train val:valid test_2016_flickr:test; do
    for side in de en; do
        gzip -dc "$corpora/multi30k/${name%%:*}.$side.gz" > "${name##*:}.$side"
    done
done

rnnkit tokenize train.de train.en valid.de valid.en --type unigram --size 8000
rnnkit vocab
rnnkit align --source de --target en
time rnnkit train --arch lstm
time rnnkit decode --beam 5 < test.de > test.hyp
rnnkit bleu test.en < test.hyp

time rnnkit train --arch lstm --epochs 7 --output work/short
rnnkit decode --beam 5 --model work/short < test.de > short.hyp
rnnkit bleu test.en < short.hyp
