"""OpenNMT-py and JoeyNMT trained on Multi30k de-en for so many steps, as rivals of `decoding_speed.py`.

    RNNKIT_CORPORA=corpora python benchmarks/decoding_rivals.py --work rivals --steps 1500

Both get the tokens and the LSTM of `training_speed.py`. For each there is a script in the folder that reads German
text and writes English: `--rival "OpenNMT-py=sh rivals/opennmt.sh {source} {output} {batch}"` gives it to
`decoding_speed.py`; JoeyNMT's has its batches in its configuration and takes no {batch}.
It cuts the text with rnnkit and joins the pieces again, which costs the rival a few hundredths of a second.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rivals import JOEYNMT, OPENNMT, BenchmarkError, call, default_folder, environment_python
from training_speed import Settings, find_corpus, joeynmt_config, opennmt_config, prepare_tokens

BEAM = 5
BATCH = 64
"""Sentences that a rival decodes together: more than either's default, and faster."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what was asked for."""
    options = parse_arguments(arguments)
    trainers: dict[str, Callable[[Path, Settings], str]] = {"opennmt": train_opennmt, "joeynmt": train_joeynmt}
    try:
        settings = Settings(
            corpus=find_corpus(options.corpora),
            work=options.work.absolute(),
            environments=options.environments.absolute(),
            steps=options.steps,
            threads=options.threads,
            seed=1,
        )
        if not settings.tokens.exists():
            prepare_tokens(settings)
        for system in options.systems:
            folder = settings.work / system
            folder.mkdir(parents=True, exist_ok=True)
            decode = trainers[system](folder, settings)
            script = settings.work / f"{system}.sh"
            script.write_text(wrapped(decode, settings), encoding="utf-8")
            print(script)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder with multi30k/ (default: $RNNKIT_CORPORA)")
    parser.add_argument(
        "--environments", type=Path, default=default_folder(), help="the rivals' environments (%(default)s)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for data, models and scripts")
    parser.add_argument("--systems", nargs="+", choices=["opennmt", "joeynmt"], default=["opennmt", "joeynmt"])
    parser.add_argument("--steps", type=int, default=1500, help="updates of 2,048 tokens (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    return parser.parse_args(arguments)


def train_opennmt(folder: Path, settings: Settings) -> str:
    """Train OpenNMT-py; returns the command that decodes $1 to $2 in batches of $3 sentences."""
    python = environment_python(OPENNMT, settings.environments)
    config = folder / "config.yaml"
    saving = {"save_checkpoint_steps": settings.steps}
    config.write_text(json.dumps({**opennmt_config(folder, settings), **saving}, indent=1), encoding="utf-8")
    command = [str(python), "-m", "onmt.bin.train", "-config", str(config)]
    call(command, log=folder / "train.log", extra_environment=settings.subprocess_environment)
    model = folder / f"model_step_{settings.steps}.pt"
    decode = [str(python), "-m", "onmt.bin.translate", "-model", str(model), "-beam_size", str(BEAM)]
    # It cannot load its own checkpoint under a torch that loads weights only.
    return f"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 {shlex.join(decode)} -batch_size ${{3:-{BATCH}}} -src $1 -output $2"


def train_joeynmt(folder: Path, settings: Settings) -> str:
    """Train JoeyNMT; returns the command that decodes $1 to $2."""
    python = environment_python(JOEYNMT, settings.environments)
    config = joeynmt_config(folder, settings)
    assert isinstance(config["training"], dict)
    config["training"] |= {"validation_freq": settings.steps, "overwrite": True}
    config["testing"] = {"beam_size": BEAM, "batch_size": BATCH, "batch_type": "sentence"}
    place = folder / "config.yaml"
    place.write_text(json.dumps(config, indent=1), encoding="utf-8")
    command = [str(python), "-m", "joeynmt", "train", str(place), "--skip-test"]
    call(command, log=folder / "train.log", extra_environment=settings.subprocess_environment)
    return f"{shlex.join([str(python), '-m', 'joeynmt', 'translate', str(place)])} < $1 > $2"


def wrapped(decode: str, settings: Settings) -> str:
    """A script that decodes text: `decode` reads and writes tokens."""
    rnnkit = shlex.join([sys.executable, "-m", "rnnkit"])
    tokenizer = shlex.quote(str(settings.workspace / "tokenizer"))
    return (
        f"# sh THIS SOURCE OUTPUT [BATCH]\nset -e\nexport OMP_NUM_THREADS={settings.threads} CUDA_VISIBLE_DEVICES=\n"
        f"folder=$(mktemp -d)\ntrap 'rm -r \"$folder\"' EXIT\nsource=$1\noutput=$2\n"
        f'{rnnkit} tokenize --model {tokenizer} < "$source" > "$folder/source"\n'
        f'set -- "$folder/source" "$folder/output" "$3"\n{decode}\n'
        f'{rnnkit} detokenize --model {tokenizer} < "$folder/output" > "$output"\n'
    )


if __name__ == "__main__":
    sys.exit(main())
