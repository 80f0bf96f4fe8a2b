"""How many processes a run has: what the options say, what was started, and what a resumed run had."""

from __future__ import annotations

import pytest
from tests.raising import raises

from rnnkit.data.batch_sampler import ShardSpec
from rnnkit.errors import UsageError
from rnnkit.stages.training import training_run
from rnnkit.stages.training.train_lm_options import TrainLMOptions
from rnnkit.training.process_group import ProcessGroup, RankInfo


class Among(ProcessGroup):
    def __init__(self, size: int) -> None:
        self.rank_info = RankInfo(1, size, 1, size)


def test_a_run_has_the_processes_that_were_started() -> None:
    assert training_run._with_processes(TrainLMOptions(), ProcessGroup()).processes == 1
    assert training_run._with_processes(TrainLMOptions(), Among(3)).processes == 3
    assert training_run._with_processes(TrainLMOptions(processes=3), Among(3)).processes == 3


@pytest.mark.parametrize(("processes", "size", "resume"), [(2, 1, False), (2, 3, False), (1, 3, True)])
def test_another_number_is_refused(processes: int, size: int, resume: bool) -> None:
    with raises(UsageError, processes, size, f"torchrun --nproc-per-node {processes}", option="--processes"):
        training_run._with_processes(TrainLMOptions(processes=processes, resume=resume), Among(size))


def test_dry_run_takes_the_shard_of_rank_zero() -> None:
    assert training_run.shard_spec(TrainLMOptions(accumulate=5, processes=3), ProcessGroup()) == ShardSpec(5, 0, 3)
    assert training_run.shard_spec(TrainLMOptions(accumulate=5, processes=3), Among(3)) == ShardSpec(5, 1, 3)
