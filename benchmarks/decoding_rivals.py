"""OpenNMT-py, JoeyNMT and CTranslate2 with models of Multi30k de-en, as rivals of `decoding_speed.py`.

    RNNKIT_CORPORA=corpora python benchmarks/decoding_rivals.py --work rivals --steps 1500

The first two get the tokens and the LSTM of `training_speed.py`, trained for so many steps; CTranslate2 runs a
Transformer of 3 and 3 layers of 256 that OpenNMT-py has trained, in eight bits, two batches side by side. For each
there is a script in the folder that reads German text and writes English:
`--rival "OpenNMT-py=sh rivals/opennmt.sh {source} {output} {batch}"` gives it to `decoding_speed.py`; JoeyNMT's has its
batches in its configuration and takes no {batch}. It cuts the text with rnnkit and joins the pieces again, which costs
the rival a few hundredths of a second.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rivals import JOEYNMT, OPENNMT, BenchmarkError, call, default_folder, environment_python
from training_speed import Settings, find_corpus, joeynmt_config, opennmt_config, prepare_tokens

BEAM = 5
BATCH = 64
"""Sentences that a rival decodes together: more than either's default, and faster."""

TRANSFORMER = {
    "encoder_type": "transformer",
    "decoder_type": "transformer",
    "layers": 3,
    "heads": 4,
    "hidden_size": 256,
    "word_vec_size": 256,
    "transformer_ff": 1024,
    "position_encoding": True,
    "input_feed": 0,
    "dropout": [0.2],
    "attention_dropout": [0.1],
    "decay_method": "noam",
    "learning_rate": 1.0,
    "adam_beta2": 0.998,
    "warmup_steps": 1000,
}
"""What the Transformer is told otherwise than the LSTM."""

CONVERT = """
import sys, torch
from ctranslate2.converters import OpenNMTPyConverter
load = torch.load
torch.load = lambda *places, **options: load(*places, **{**options, "weights_only": False})
checkpoint = torch.load(sys.argv[1], map_location="cpu")
checkpoint["opt"].self_attn_type = "scaled-dot"
torch.save(checkpoint, sys.argv[1])
OpenNMTPyConverter(sys.argv[1]).convert(sys.argv[2], quantization="int8", force=True)
"""
"""Its converter knows an older name of the attention, and a torch that loads more than weights."""

TRANSLATE = """
import sys, ctranslate2
model = ctranslate2.Translator(sys.argv[1], inter_threads=int(sys.argv[2]), intra_threads=1, compute_type="int8")
lines = [line.split() for line in sys.stdin]
found = model.translate_batch(lines, beam_size=int(sys.argv[3]), max_batch_size=int(sys.argv[4]))
print("\\n".join(" ".join(one.hypotheses[0]) for one in found))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what was asked for."""
    options = parse_arguments(arguments)
    trainers: dict[str, Callable[[Path, Settings], str]] = {
        "opennmt": train_opennmt,
        "joeynmt": train_joeynmt,
        "ctranslate2": train_ctranslate2,
    }
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
    systems = ["opennmt", "joeynmt", "ctranslate2"]
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems[:2])
    parser.add_argument("--steps", type=int, default=1500, help="updates of 2,048 tokens (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    return parser.parse_args(arguments)


def train_opennmt(folder: Path, settings: Settings) -> str:
    """Train OpenNMT-py; returns the command that decodes $1 to $2 in batches of $3 sentences."""
    python = environment_python(OPENNMT, settings.environments)
    model = run_opennmt(python, folder, settings, {})
    decode = [str(python), "-m", "onmt.bin.translate", "-model", str(model), "-beam_size", str(BEAM)]
    # It cannot load its own checkpoint under a torch that loads weights only.
    return f"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 {shlex.join(decode)} -batch_size ${{3:-{BATCH}}} -src $1 -output $2"


def train_ctranslate2(folder: Path, settings: Settings) -> str:
    """Train a Transformer with OpenNMT-py and convert it; returns the command as above."""
    python = environment_python(OPENNMT, settings.environments)
    model = run_opennmt(python, folder, settings, TRANSFORMER)
    call([str(python), "-c", CONVERT, str(model), str(folder / "converted")])
    decode = [str(python), "-c", TRANSLATE, str(folder / "converted"), str(settings.threads), str(BEAM)]
    return f"OMP_NUM_THREADS=1 {shlex.join(decode)} ${{3:-{BATCH}}} < $1 > $2"


def run_opennmt(python: Path, folder: Path, settings: Settings, changes: Mapping[str, object]) -> Path:
    """Train with OpenNMT-py; returns the last checkpoint."""
    config = folder / "config.yaml"
    told = {**opennmt_config(folder, settings), "save_checkpoint_steps": settings.steps, **changes}
    config.write_text(json.dumps(told, indent=1), encoding="utf-8")
    command = [str(python), "-m", "onmt.bin.train", "-config", str(config)]
    call(command, log=folder / "train.log", extra_environment=settings.subprocess_environment)
    return folder / f"model_step_{settings.steps}.pt"


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
