#!/usr/bin/env bash
# How fast a small network trains where other programs want the cores: with the watch of the cores, and without it.
#
#   benchmarks/shared_cores.sh [FOLDER]
#
# Each round trains the demo's network alone, beside one busy program of another session, and twice at once;
# GOMP_SPINCOUNT=300000, OpenMP's own value, turns the watch off. Prints each run's median of target tokens a second.
# FOLDER (made where it is missing, a temporary one unless given) keeps the workspace. Needs `rnnkit` on the PATH, Linux
# and a machine with nothing else to do. ROUNDS says how often (3), STEPS how long (240).
set -euo pipefail

parallel="$(realpath "$(dirname "$0")/../sample_corpora/parallel")"
cd "$(if [[ -n ${1:-} ]]; then mkdir -p "$1" && echo "$1"; else mktemp -d; fi)"
size=(--arch lstm --attention additive --hidden 128 --embedding 128 --joint-embeddings --batch-tokens 512)
length=(--max-steps "${STEPS:-240}" --report-every 20 --validate-every 1000000)

# speed NAME: train, at most for a minute, and print the median speed after the first report.
speed() {
    timeout 60 rnnkit train "${size[@]}" "${length[@]}" --output "$1" --overwrite --quiet 2> /dev/null || true
    python3 -c '
import json, statistics, sys
lines = map(json.loads, open(sys.argv[1] + "/metrics.jsonl"))
speeds = [line["target_tokens_per_second"] for line in lines if "target_tokens_per_second" in line]
print(f"{sys.argv[1]:16} {statistics.median(speeds[1:] or speeds):8,.0f}")' "$1"
}

watched() { speed "$1-watched"; }
unwatched() { GOMP_SPINCOUNT=300000 speed "$1-unwatched"; }

rnnkit tokenize "$parallel"/{train,valid}.{de,en} --type words --quiet --overwrite
rnnkit vocab --quiet --overwrite
rnnkit align --source de --target en --quiet --overwrite
for _ in $(seq "${ROUNDS:-3}"); do
    for way in watched unwatched; do
        "$way" alone
        setsid python3 -c 'while True: pass' &
        busy=$!
        "$way" beside
        kill "$busy"
        "$way" first & "$way" second
        wait
    done
done
