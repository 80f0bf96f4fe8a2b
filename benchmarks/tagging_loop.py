"""Tag a file with a model of rnnkit through the Python API, without start and loading; part of `labelling.py`.

    python tagging_loop.py JOB

JOB is a JSON object: `model`, `input`, a file with one sentence per line, and `threads`. The result is one JSON object:
`seconds`, `processor`, `words`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import rnnkit
from rnnkit.nn.device import set_threads

WARM_UP_LINES = 200
"""Lines that are tagged before the measurement, by another instance of the model."""


def main() -> None:
    """Tag, and print the time and the number of words."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    set_threads(job["threads"])
    lines = Path(job["input"]).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    rnnkit.Tagger.load(job["model"]).tag(lines[:WARM_UP_LINES])
    model = rnnkit.Tagger.load(job["model"])  # an instance caches the words that it has encoded
    start, start_processor = time.perf_counter(), time.process_time()
    tags = model.tag(lines)
    seconds, processor = time.perf_counter() - start, time.process_time() - start_processor
    print(json.dumps({"seconds": seconds, "processor": processor, "words": sum(map(len, tags))}))


if __name__ == "__main__":
    main()
