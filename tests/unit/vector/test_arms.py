"""How deep the index is asked under a filter."""

import pytest

from services.vector.stores.points import arms


@pytest.mark.parametrize(
    ("share", "many"), [(1.0, 200), (0.05, 200), (0.049, 50), (0.0125, 50), (0.012, 0), (0.0001, 0)]
)
def test_the_index_passes_by_a_bounded_number_of_points(share: float, many: int) -> None:
    assert arms.deep(share) == many
    assert many <= share * 4000
