#!/usr/bin/env bash
# Inflected forms from lemmas and tags: German and Turkish of SIGMORPHON 2023, by the commands that anybody types.
#
#   RNNKIT_CORPORA=corpora benchmarks/inflection.sh [FOLDER]
#
# FOLDER (made where it is missing, a temporary one unless given) keeps text, workspaces and outputs. Needs `rnnkit` on the
# PATH. SETS in the environment picks some of `deu tur`, TRAIN holds options of `rnnkit train` (`--preset inflection-small`
# unless given), TYPE the type of tokenizer (`chars` unless given). What is right is a form that is exactly right: 100 less
# the line error rate.
set -euo pipefail

# shellcheck source=benchmarks/folder.sh
source "$(dirname "$0")/folder.sh"
open_folder 'inflection-sigmorphon2023/' "${1:-}"

for set in ${SETS:-deu tur}; do
    mkdir -p "$set"
    cd "$set"
    for split in train:trn dev:dev test:tst; do
        file="$corpora/inflection-sigmorphon2023/$set.${split#*:}"
        cut -f 1,2 "$file" > "${split%:*}.lemma"
        cut -f 3 "$file" > "${split%:*}.form"
    done
    rnnkit tokenize train.lemma train.form dev.lemma dev.form --type "${TYPE:-chars}" --features
    rnnkit vocab
    rnnkit align --source lemma --target form
    # shellcheck disable=SC2086  # several options
    time rnnkit train ${TRAIN:---preset inflection-small}
    rnnkit decode --beam 5 < test.lemma > test.hyp
    rnnkit error-rate test.form < test.hyp
    cd ..
done
