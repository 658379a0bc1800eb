"""Ten rounds of killing under write load; `make chaos-vector N=1000` runs more."""

from pathlib import Path

import pytest

from tests.fault.vector import chaos

_ROUNDS = 10
_SEED = 20


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_and_nothing_comes_twice(data_root: Path) -> None:
    report = await chaos.run(data_root, _ROUNDS, _SEED)
    assert report.rounds == _ROUNDS
    # The seed lets each part die at least once.
    assert set(report.kills) == {"service", "worker", "postgres"}
    assert report.acknowledged > 0
    assert report.jobs["completed"] > 0
