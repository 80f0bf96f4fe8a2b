# Opens a benchmark in bash, which reads this file by `source` and says
#
#   open_folder NEEDED [FOLDER]
#
# NEEDED are the corpora it reads, for the message where RNNKIT_CORPORA is not set. FOLDER, made where it is missing, a
# temporary one unless given, becomes the current one; `corpora` is the path of the texts, whole.
# shellcheck shell=bash
open_folder() {
    corpora="${RNNKIT_CORPORA:?set RNNKIT_CORPORA to the folder that holds $1}"
    corpora="$(cd "$corpora" && pwd)"
    local folder="${2:-$(mktemp -d)}"
    mkdir -p "$folder"
    cd "$folder"
    echo "working in $PWD"
    rnnkit --version
}
