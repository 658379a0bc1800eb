"""How long the follower and the indexes wait between two looks."""

import pytest

from services.graph.looking import pause


@pytest.mark.parametrize(
    ("poll", "took", "expected"),
    [
        pytest.param(0.5, 0.01, 0.5, id="quick: as it was set"),
        pytest.param(0.5, 0.2, 1.8, id="slow: a tenth of the time is for looking"),
        pytest.param(0.5, 10.0, 5.0, id="held up: not for long"),
        pytest.param(60.0, 10.0, 60.0, id="never sooner than it was set"),
    ],
)
def test_a_look_takes_a_tenth_of_the_time_at_most(poll: float, took: float, expected: float) -> None:
    assert pause(poll, took) == pytest.approx(expected)
