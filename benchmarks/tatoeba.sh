#!/usr/bin/env bash
# Translation of Tatoeba's sentences, English and Chinese or German, by the README's six commands.
#
#   RNNKIT_CORPORA=corpora benchmarks/tatoeba.sh [FOLDER]
#   RNNKIT_CORPORA=corpora FROM=zh TO=en benchmarks/tatoeba.sh [FOLDER]
#
# Languages are en with zh or de; English to Chinese unless FROM and TO say otherwise. FOLDER (made where it is missing,
# a temporary one unless given) keeps the text, the workspace and the outputs. Needs `rnnkit` on the PATH. TRAIN holds
# options of `rnnkit train` (`--arch lstm` unless given).
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'tatoeba-en-zh/ and tatoeba-en-de/' "${1:-}"
from="${FROM:-en}" to="${TO:-zh}"
if [[ $from == en ]]; then other="$to"; else other="$from"; fi
if [[ $to == zh ]]; then words=zh; else words=13a; fi

for split in train valid test; do
    for side in "$from" "$to"; do
        gzip -dc "$corpora/tatoeba-en-$other/$split.$side.gz" > "$split.$side"
    done
done

rnnkit tokenize "train.$from" "train.$to" "valid.$from" "valid.$to" --type unigram --size 8000
rnnkit vocab
rnnkit align --source "$from" --target "$to"
# shellcheck disable=SC2086  # several options
time rnnkit train ${TRAIN:---arch lstm}
time rnnkit decode --beam 5 < "test.$from" > test.hyp
rnnkit bleu "test.$to" --metric bleu --metric chrf --tokenize "$words" < test.hyp
