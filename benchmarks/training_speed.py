"""Training speed in target tokens a second: rnnkit, OpenNMT-py and JoeyNMT on Multi30k de-en, on the CPU.

All read the same tokens, cut by `rnnkit tokenize` into one joint set of 8,000 unigram pieces, and train the same
sizes: embeddings 256, a bidirectional LSTM encoder of 2x256, an LSTM decoder of 512, output 512 to 8,000.
The systems run in turn, several rounds, because machines are noisy; the table gives medians and ranges.

    RNNKIT_CORPORA=corpora python benchmarks/training_speed.py --json training_speed.json
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import random
import re
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from folders import run_in_folder
from meter import DISTURBED, Meter
from rivals import (
    JOEYNMT,
    OPENNMT,
    BenchmarkError,
    call,
    default_folder,
    distribution_versions,
    environment_python,
)
from tables import spread

SOURCE, TARGET = "de", "en"
PIECES = 8000
SPECIALS = ("<pad>", "<unk>", "<s>", "</s>")  # the first rows of our vocabulary; every system adds these itself
EMBEDDING, ENCODER_HIDDEN, DECODER_HIDDEN = 256, 256, 512  # the encoder's for each direction
DROPOUT, LABEL_SMOOTHING, LEARNING_RATE = 0.3, 0.1, 0.001
BATCH_TOKENS = 2048
REPORTS = 6  # reports in a run; the first is warm-up and not counted

# Our side: `rnnkit train` with these options, and one row of the table for each wiring.
RNNKIT_OPTIONS = [
    *("--arch", "lstm", "--layers", "1", "--attention", "dot"),
    *("--embedding", str(EMBEDDING), "--hidden", str(DECODER_HIDDEN), "--no-tied"),
    *("--dropout", str(DROPOUT), "--label-smoothing", str(LABEL_SMOOTHING)),
    *("--batch-tokens", str(BATCH_TOKENS), "--learning-rate", str(LEARNING_RATE)),
    *("--device", "cpu", "--warmup", "0", "--schedule", "constant", "--validate-lines", "0"),
]
RNNKIT_WIRINGS = {
    "rnnkit": [],
    "rnnkit-fp32": ["--precision", "fp32"],
    "rnnkit-input-feeding": ["--input-feeding"],
    "rnnkit-input-feeding-fp32": ["--input-feeding", "--precision", "fp32"],
}

WIRINGS = {
    "rnnkit": "its default: scaled dot attention after the whole decoder LSTM, no input feeding; bf16 products",
    "rnnkit-fp32": "the same, fp32 products",
    "rnnkit-input-feeding": "scaled dot attention, the readout fed to the next step; bf16 products",
    "rnnkit-input-feeding-fp32": "the same, fp32 products",
    "opennmt": "its default with MLP attention: input feeding, one step at a time",
    "joeynmt": "Bahdanau attention and input feeding, one step at a time; batches not sorted by length",
}
NAMES = {
    "rnnkit": "rnnkit",
    "rnnkit-fp32": "rnnkit --precision fp32",
    "rnnkit-input-feeding": "rnnkit --input-feeding",
    "rnnkit-input-feeding-fp32": "rnnkit --input-feeding --precision fp32",
    "opennmt": "OpenNMT-py",
    "joeynmt": "JoeyNMT",
}

CLOCK = r"(?P<clock>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})"
OPENNMT_REPORT = re.compile(
    rf"^\[{CLOCK} INFO\] Step +(?P<step>\d+)/.* bsz: +\d+/ *(?P<tokens>\d+)/.* \d+/ *(?P<speed>\d+) tok/s"
)
JOEYNMT_REPORT = re.compile(rf"^{CLOCK} .*Step: +(?P<step>\d+),.*Tokens per Sec: +(?P<speed>\d+),")


@dataclass(frozen=True)
class Settings:
    """What every run of the benchmark shares."""

    corpus: Path
    work: Path
    environments: Path
    steps: int
    threads: int
    seed: int

    @property
    def report_every(self) -> int:
        """Steps between two reports."""
        return self.steps // REPORTS

    @property
    def workspace(self) -> Path:
        """Our own workspace, with the aligned data that all our runs read."""
        return self.work / "rnnkit-work"

    @property
    def tokens(self) -> Path:
        """Folder of the token files, train and valid, one a language."""
        return self.work / "tokens"

    @property
    def subprocess_environment(self) -> dict[str, str]:
        """Variables that hold a subprocess to the CPU and to the number of threads."""
        threads = str(self.threads)
        return {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Report:
    """One progress report of a system: the speed is what it says of the steps since the report before."""

    step: int
    clock: float  # seconds, from the time stamp of the line
    speed: float  # target tokens a second
    tokens: float  # target tokens a step, end of sentence counted, padding not


@dataclass(frozen=True)
class Run:
    """One run of one system: the reports after the first, and two figures from them."""

    system: str
    round: int
    others: float | None  # share of the machine's cores that other processes took meanwhile; None: not known
    reports: list[Report]
    speed: float  # median of what the system reported
    counted: float  # tokens between the first and the last report over the time between their stamps


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every system asked for, print the table, and write the JSON where asked."""
    return run_in_folder(run_benchmark, parse_arguments(arguments), "training_speed")


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder with multi30k/ (default: $RNNKIT_CORPORA)")
    parser.add_argument(
        "--environments", type=Path, default=default_folder(), help="the rivals' environments (%(default)s)"
    )
    parser.add_argument("--work", type=Path, help="folder for data and logs (default: a temporary one)")
    parser.add_argument("--systems", nargs="+", choices=list(NAMES), default=list(NAMES), metavar="SYSTEM")
    parser.add_argument("--steps", type=int, default=60, help="updates in a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write every report and version to this file")
    options = parser.parse_args(arguments)
    if options.steps < REPORTS or options.steps % REPORTS:
        parser.error(f"--steps {options.steps}: a positive multiple of {REPORTS} is needed")
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return options


def run_benchmark(options: argparse.Namespace, work: Path) -> int:
    """Prepare data and environments, run the rounds, print the table."""
    settings = Settings(
        corpus=find_corpus(options.corpora),
        work=work.absolute(),
        environments=options.environments.absolute(),
        steps=options.steps,
        threads=options.threads,
        seed=options.seed,
    )
    versions = {system: system_versions(system, settings) for system in options.systems}
    prepare_tokens(settings)
    runs = []
    for round_number in range(1, options.rounds + 1):
        for system in options.systems:
            run = measure(system, round_number, settings)
            print(
                f"round {round_number}: {NAMES[system]} {run.speed:,.0f} target tokens/s "
                f"(counted from the data {run.counted:,.0f})",
                file=sys.stderr,
            )
            runs.append(run)
    print(format_table(options.systems, runs, versions, settings))
    if options.json is not None:
        write_json(options.json, runs, versions, settings)
    return 0


def measure(system: str, round_number: int, settings: Settings) -> Run:
    """Run one system once. The seed moves on with the round, so that rounds see other batches."""
    folder = settings.work / f"{system}-{round_number}"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    meter = Meter()
    moved = replace(settings, seed=settings.seed + round_number - 1)
    measures: dict[str, Callable[[Path, Settings], list[Report]]] = {
        "opennmt": measure_opennmt,
        "joeynmt": measure_joeynmt,
    }
    if system in RNNKIT_WIRINGS:
        reports = measure_rnnkit(folder, moved, RNNKIT_WIRINGS[system])
    else:
        reports = measures[system](folder, moved)
    if len(reports) != REPORTS:
        raise BenchmarkError(
            f"{NAMES[system]} gave {len(reports)} progress reports where {REPORTS} were expected\n"
            f"  its log and configuration are in {folder} (kept when --work is given)"
        )
    counted_tokens = sum(report.tokens * settings.report_every for report in reports[1:])
    return Run(
        system=system,
        round=round_number,
        others=meter.others(),
        reports=reports[1:],
        speed=statistics.median(report.speed for report in reports[1:]),
        counted=counted_tokens / (reports[-1].clock - reports[0].clock),
    )


# ---------------------------------------------------------------------------------------------- data


def find_corpus(corpora: Path | None) -> Path:
    """The folder of Multi30k."""
    if corpora is None and not os.environ.get("RNNKIT_CORPORA"):
        raise BenchmarkError("no corpora: set RNNKIT_CORPORA or give --corpora, the folder with multi30k/")
    corpus = (corpora or Path(os.environ["RNNKIT_CORPORA"])).absolute() / "multi30k"
    wanted = [f"{split}.{language}.gz" for split in ("train", "val") for language in (SOURCE, TARGET)]
    missing = [name for name in wanted if not (corpus / name).is_file()]
    if missing:
        raise BenchmarkError(f"{corpus} lacks {', '.join(missing)}")
    return corpus


def read_lines(path: Path) -> list[str]:
    """Lines of a gzipped UTF-8 file; only LF ends a line."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        return stream.read().removesuffix("\n").split("\n")


def prepare_tokens(settings: Settings) -> None:
    """Cut the text with rnnkit, make its aligned data, and write the same tokens and pieces for the rivals."""
    raw, workspace = settings.work / "raw", settings.workspace
    raw.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("valid", "val")):
        for language in (SOURCE, TARGET):
            write_lines(raw / f"{split}.{language}", read_lines(settings.corpus / f"{name}.{language}.gz"))
    texts = [str(path) for path in sorted(raw.iterdir())]
    place = ["--work", str(workspace), "--overwrite"]
    rnnkit(settings, ["tokenize", *texts, "--type", "unigram", "--size", str(PIECES), *place])
    rnnkit(settings, ["vocab", *place])
    rnnkit(settings, ["align", "--source", SOURCE, "--target", TARGET, *place])
    settings.tokens.mkdir(parents=True, exist_ok=True)
    for path in (workspace / "tokens").glob("*.tok"):
        shutil.copyfile(path, settings.tokens / path.stem)
    rows = (workspace / "vocab.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    write_lines(settings.tokens / "pieces.txt", [row.partition("\t")[0] for row in rows[len(SPECIALS) :]])


def rnnkit(settings: Settings, words: Sequence[str], log: Path | None = None) -> None:
    """Run a command of the rnnkit that this Python has."""
    command = [sys.executable, "-m", "rnnkit", *words]
    call(command, log=log, extra_environment=settings.subprocess_environment)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write lines as UTF-8 with LF."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def token_counts(settings: Settings, language: str) -> list[int]:
    """Tokens of each training sentence, the end of sentence counted."""
    text = (settings.tokens / f"train.{language}").read_text(encoding="utf-8")
    return [line.count(" ") + 2 for line in text.removesuffix("\n").split("\n")]


# -------------------------------------------------------------------------------------------- systems


def system_versions(system: str, settings: Settings) -> dict[str, str]:
    """Versions of a system, its torch and its python; makes a rival's environment where there is none."""
    if system in RNNKIT_WIRINGS:
        return distribution_versions(Path(sys.executable), ["rnnkit", "torch"])
    environment = {"opennmt": OPENNMT, "joeynmt": JOEYNMT}[system]
    python = environment_python(environment, settings.environments)
    return distribution_versions(python, [environment.distribution.partition("==")[0], "torch"])


def measure_rnnkit(folder: Path, settings: Settings, wiring: Sequence[str]) -> list[Report]:
    """Train rnnkit on the common tokens; `wiring` is the options that a row of the table adds."""
    bounds = ["--max-steps", str(settings.steps), "--report-every", str(settings.report_every)]
    control = ["--threads", str(settings.threads), "--seed", str(settings.seed)]
    place = ["--work", str(settings.workspace), "--output", str(folder / "model")]
    rnnkit(settings, ["train", *place, *RNNKIT_OPTIONS, *wiring, *bounds, *control], log=folder / "train.log")
    return read_rnnkit_metrics(folder / "model" / "metrics.jsonl", settings)


def read_rnnkit_metrics(path: Path, settings: Settings) -> list[Report]:
    """Training reports of `metrics.jsonl`: the lines that name a speed. Each counts the seconds since the last."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    reports: list[Report] = []
    clock = 0.0
    for row in rows:
        if "target_tokens_per_second" in row:
            clock += float(row["seconds"])
            tokens = float(row["target_tokens"]) / settings.report_every
            reports.append(Report(int(row["step"]), clock, float(row["target_tokens_per_second"]), tokens))
    return reports


def measure_opennmt(folder: Path, settings: Settings) -> list[Report]:
    """Train OpenNMT-py for the steps and read its reports.

    Its tokens are counted as ours are: `tok/s` is source/target, padding left out, end of sentence counted.
    Its batches hold 2,048 tokens at most, padding included, of the longer side.
    """
    python = environment_python(OPENNMT, settings.environments)
    config = folder / "config.yaml"
    config.write_text(json.dumps(opennmt_config(folder, settings), indent=1), encoding="utf-8")
    command = [str(python), "-m", "onmt.bin.train", "-config", str(config)]
    output = call(command, log=folder / "train.log", extra_environment=settings.subprocess_environment)
    matches = [match for line in output.splitlines() if (match := OPENNMT_REPORT.match(line))]
    return [Report(int(m["step"]), seconds(m["clock"]), float(m["speed"]), float(m["tokens"])) for m in matches]


def opennmt_config(folder: Path, settings: Settings) -> dict[str, object]:
    """OpenNMT-py's options (JSON is YAML); what is not named here stays at its default."""
    tokens, steps = settings.tokens, settings.steps
    corpus = {"path_src": f"{tokens}/train.{SOURCE}", "path_tgt": f"{tokens}/train.{TARGET}", "weight": 1}
    return {
        "data": {"multi30k": {**corpus, "transforms": []}},
        "src_vocab": str(tokens / "pieces.txt"),
        "tgt_vocab": str(tokens / "pieces.txt"),
        "save_model": str(folder / "model"),
        "encoder_type": "brnn",
        "decoder_type": "rnn",
        "rnn_type": "LSTM",
        "layers": 1,
        "word_vec_size": EMBEDDING,
        "hidden_size": DECODER_HIDDEN,  # divided between the two directions of the encoder
        "global_attention": "mlp",
        "input_feed": 1,
        "dropout": [DROPOUT],
        "label_smoothing": LABEL_SMOOTHING,
        "optim": "adam",
        "learning_rate": LEARNING_RATE,
        "batch_type": "tokens",
        "batch_size": BATCH_TOKENS,
        "normalization": "tokens",
        "bucket_size": len(token_counts(settings, SOURCE)),  # one epoch; its default reads nine before step 1
        "num_workers": 0,
        "train_steps": steps,
        "valid_steps": steps + 1,
        "save_checkpoint_steps": steps + 1,
        "report_every": settings.report_every,
        "seed": settings.seed,
    }


def measure_joeynmt(folder: Path, settings: Settings) -> list[Report]:
    """Train JoeyNMT for the steps and read its reports.

    `Tokens per Sec` counts target tokens, padding left out, end of sentence counted. It does not say how many
    tokens a batch had, so that figure is the mean over the data. Its batches are the first pairs, in random
    order, that reach 2,048 tokens, padding included, of the longer side.
    """
    python = environment_python(JOEYNMT, settings.environments)
    config = folder / "config.yaml"
    config.write_text(json.dumps(joeynmt_config(folder, settings), indent=1), encoding="utf-8")
    command = [str(python), "-m", "joeynmt", "train", str(config), "--skip-test"]
    output = call(command, log=folder / "train.log", extra_environment=settings.subprocess_environment)
    matches = [match for line in output.splitlines() if (match := JOEYNMT_REPORT.match(line))]
    tokens = joeynmt_batch_tokens(settings)
    return [Report(int(m["step"]), seconds(m["clock"]), float(m["speed"]), tokens) for m in matches]


def joeynmt_batch_tokens(settings: Settings) -> float:
    """Mean target tokens of JoeyNMT's batches, counted from the token files by its rule for closing them."""
    pairs = list(zip(token_counts(settings, SOURCE), token_counts(settings, TARGET), strict=True))
    random.Random(settings.seed).shuffle(pairs)
    batches: list[int] = []
    longest = size = tokens = 0
    for source, target in pairs:
        size, tokens, longest = size + 1, tokens + target, max(longest, source, target)
        if size * longest >= BATCH_TOKENS:
            batches.append(tokens)
            longest = size = tokens = 0
    return statistics.mean(batches)


def joeynmt_config(folder: Path, settings: Settings) -> dict[str, object]:
    """JoeyNMT's configuration (JSON is YAML)."""
    tokens, steps = settings.tokens, settings.steps
    side = {"level": "word", "max_length": -1, "voc_file": str(tokens / "pieces.txt")}
    network = {"type": "recurrent", "rnn_type": "lstm", "num_layers": 1, "dropout": DROPOUT}
    network["embeddings"] = {"embedding_dim": EMBEDDING, "dropout": DROPOUT}
    return {
        "name": "training_speed",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": settings.seed,
        "data": {
            "train": str(tokens / "train"),
            "dev": str(tokens / "valid"),
            "src": {"lang": SOURCE, **side},
            "trg": {"lang": TARGET, **side},
        },
        "training": {
            "optimizer": "adam",
            "learning_rate": LEARNING_RATE,
            "learning_rate_min": 0.0,
            "scheduling": "exponential",  # some schedule is required; its plateau fails under this torch
            "decrease_factor": 1.0,
            "normalization": "tokens",
            "label_smoothing": LABEL_SMOOTHING,
            "batch_size": BATCH_TOKENS,
            "batch_type": "token",
            "epochs": 1000,
            "updates": steps,
            "logging_freq": settings.report_every,
            "validation_freq": settings.report_every * (REPORTS + 1),
        },
        "testing": {},
        "model": {
            "encoder": {**network, "hidden_size": ENCODER_HIDDEN, "bidirectional": True},
            "decoder": {
                **network,
                "hidden_size": DECODER_HIDDEN,
                "hidden_dropout": DROPOUT,
                "attention": "bahdanau",
                "input_feeding": True,
                "init_hidden": "bridge",
            },
        },
    }


def seconds(stamp: str) -> float:
    """Seconds of a logging time stamp."""
    return datetime.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()


# --------------------------------------------------------------------------------------------- results


def format_table(
    systems: Sequence[str], runs: Sequence[Run], versions: dict[str, dict[str, str]], settings: Settings
) -> str:
    """The Markdown table, with the conditions above it."""
    rounds = max(run.round for run in runs)
    lines = [
        "# Training speed, Multi30k de-en, target tokens a second",
        "",
        f"{datetime.date.today()}, {platform.machine()}, CPU only, rivals in fp32, {settings.threads} threads, "
        f"seeds {settings.seed} to {settings.seed + rounds - 1}, {settings.steps} steps a run, "
        f"{rounds} rounds in turn, first {settings.report_every} steps of a run left out.",
        "Embeddings 256, LSTM encoder 2x256, LSTM decoder 512, output 512 to 8,000, dropout 0.3, "
        "label smoothing 0.1, Adam, batches of 2,048 tokens.",
        "",
        "| system | version | torch, python | wiring | target tokens/s: median [range] | counted "
        "| ratio of rnnkit to it |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for system in systems:
        own = [run for run in runs if run.system == system]
        (version,) = (text for name, text in versions[system].items() if name not in ("torch", "python"))
        lines.append(
            f"| {NAMES[system]} | {version} | {versions[system]['torch']}, {versions[system]['python']} "
            f"| {WIRINGS[system]} | {spread([run.speed for run in own])} "
            f"| {statistics.median(run.counted for run in own):,.0f} | {ratio_cell(system, runs)} |"
        )
    lines += ["", COUNTING, *disturbed_runs(runs)]
    return "\n".join(lines)


COUNTING = (
    "Target tokens count the end of sentence and leave padding out. The speed is what each system reports; "
    "`counted` is tokens over the time stamps of its log. The ratio is taken within each round."
)


def disturbed_runs(runs: Sequence[Run]) -> list[str]:
    """A warning where other processes took a noticeable part of the machine."""
    disturbed = [
        f"{NAMES[run.system]} round {run.round} ({run.others:.0%} of the cores)"
        for run in runs
        if run.others is not None and run.others > DISTURBED
    ]
    if not disturbed:
        return []
    return ["", f"Not to be relied on, the machine was busy with other work: {', '.join(disturbed)}."]


def ratio_cell(system: str, runs: Sequence[Run]) -> str:
    """Speed of rnnkit in its default wiring over a system's, round by round."""
    ours = {run.round: run.speed for run in runs if run.system == "rnnkit"}
    if not ours or system == "rnnkit":
        return "-"
    return spread([ours[run.round] / run.speed for run in runs if run.system == system], digits=2)


def write_json(path: Path, runs: Sequence[Run], versions: dict[str, dict[str, str]], settings: Settings) -> None:
    """Everything that was measured, with the conditions."""
    record = {
        "benchmark": "training_speed",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": settings.threads,
        "seed": settings.seed,
        "steps": settings.steps,
        "report_every": settings.report_every,
        "batch_tokens": BATCH_TOKENS,
        "rnnkit_options": RNNKIT_OPTIONS,
        "wirings": WIRINGS,
        "versions": versions,
        "runs": [asdict(run) for run in runs],
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
