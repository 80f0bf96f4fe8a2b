"""Train fastText's classifier once; `linear_text.py` runs this in the rival's own Python.

    python linear_text_rival.py JOB

JOB is a JSON object: `options` of `fasttext.train_supervised`, `train`, `dev` and `test`, files of lines that begin
with `__label__`. The answer is one JSON object on standard output: seconds and processor seconds of the call, and the
accuracies.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    """Train and test."""
    import fasttext

    job = json.loads(sys.argv[1])
    start, start_cpu = time.perf_counter(), time.process_time()
    model = fasttext.train_supervised(job["train"], verbose=0, **job["options"])
    answer = {"seconds": time.perf_counter() - start, "processor": time.process_time() - start_cpu}
    for split in ("dev", "test"):
        answer[split] = model.test(job[split])[1]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
