#!/usr/bin/env bash
# Pronunciations from spellings: CMUdict, and French, Japanese and Korean of SIGMORPHON 2021 (medium), by the commands that anybody types.
#
#   RNNKIT_CORPORA=corpora benchmarks/g2p.sh [FOLDER]
#
# FOLDER (made where it is missing, a temporary one unless given) keeps text, workspaces and outputs. Needs `rnnkit` and
# `python3` on the PATH. SETS in the environment picks some of `cmudict fre jpn_hira kor`, TRAIN holds options of
# `rnnkit train` (`--preset g2p-small` unless given). A word is right where any of its listed pronunciations was said.
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'cmudict/ and g2p-sigmorphon2021/' "${1:-}"

# The letters of a file's words with spaces between them; syllables of Hangul fall apart into theirs.
letters() {
    cut -f 1 "$1" | python3 -c '
import sys, unicodedata
for line in sys.stdin:
    print(*unicodedata.normalize("NFD" if "\uac00" <= line[0] <= "\ud7a3" else "NFC", line.rstrip("\n")))'
}

for set in ${SETS:-cmudict fre jpn_hira kor}; do
    mkdir -p "$set"
    cd "$set"
    for split in train dev test; do
        if [[ $set == cmudict ]]; then file="$corpora/cmudict/$split.tsv"; else file="$corpora/g2p-sigmorphon2021/${set}_$split.tsv"; fi
        cp "$file" "$split.tsv"
        letters "$split.tsv" > "$split.letters"
        cut -f 2 "$split.tsv" > "$split.phones"
    done
    cut -f 1 test.tsv | uniq > test.words
    letters test.words > test.letters
    rnnkit tokenize train.letters train.phones dev.letters dev.phones --type spaces
    rnnkit vocab --separate
    rnnkit align --source letters --target phones
    # shellcheck disable=SC2086  # several options
    time rnnkit train ${TRAIN:---preset g2p-small}
    rnnkit decode --beam 5 < test.letters > test.hyp
    rnnkit error-rate --keyed test.tsv < test.hyp
    cd ..
done
