#!/usr/bin/env bash
# Translation on Multi30k, the README's six commands with no other option, then a shorter run.
#
#   RNNKIT_CORPORA=corpora benchmarks/multi30k.sh [FOLDER]
#   RNNKIT_CORPORA=corpora FROM=en TO=fr benchmarks/multi30k.sh [FOLDER]
#
# Languages are de, en and fr; German to English unless FROM and TO say otherwise. FOLDER (made where it is missing, a
# temporary one unless given) keeps the text, the workspace and the outputs. Needs `rnnkit` on the PATH; takes about
# half an hour on two cores with bfloat16 products.
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'multi30k/' "${1:-}"
from="${FROM:-de}" to="${TO:-en}"

for name in train:train val:valid test_2016_flickr:test; do
    for side in "$from" "$to"; do
        gzip -dc "$corpora/multi30k/${name%%:*}.$side.gz" > "${name##*:}.$side"
    done
done

rnnkit tokenize "train.$from" "train.$to" "valid.$from" "valid.$to" --type unigram --size 8000
rnnkit vocab
rnnkit align --source "$from" --target "$to"
time rnnkit train --arch lstm
time rnnkit decode --beam 5 < "test.$from" > test.hyp
rnnkit bleu "test.$to" --metric bleu --metric chrf < test.hyp

time rnnkit train --arch lstm --epochs 7 --output work/short
rnnkit decode --beam 5 --model work/short < "test.$from" > short.hyp
rnnkit bleu "test.$to" --metric bleu --metric chrf < short.hyp
