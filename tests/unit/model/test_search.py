"""What may be searched, and what a reading says."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab_operator.model.search import (
    MOST_CONFIGURATIONS,
    Dimension,
    Estimate,
    Observation,
    SearchSpace,
    UnfitSpaceError,
)

SIZE = Dimension("maxBatchSize", (0.0, 1.0))


def a_space(
    count: int = 2, *, levels: int = 1, goals: int | None = None, limited: tuple[int, ...] = (2, 1)
) -> SearchSpace:
    return SearchSpace(
        (SIZE,),
        np.zeros((count, levels), dtype=np.int64),
        np.zeros(count if goals is None else goals),
        np.zeros(limited),
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"count": 0, "limited": (0, 1)}, "0 configurations; 1 to 4096"),
        ({"count": MOST_CONFIGURATIONS + 1}, "4097 configurations"),
        ({"levels": 2}, "for 1 dimensions"),
        ({"goals": 3}, "expectations of shapes"),
        ({"limited": (3, 1)}, "expectations of shapes"),
        ({"limited": (2,)}, "expectations of shapes"),
    ],
    ids=["empty", "too many", "a level too many", "a goal too many", "a row too many", "no rows"],
)
def test_a_space_whose_parts_do_not_fit_together_is_refused_with_the_sizes(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UnfitSpaceError, match=says):
        a_space(**wrong)  # type: ignore[arg-type]


def test_a_space_may_have_no_limits() -> None:
    assert a_space(limited=(2, 0)).limited.shape == (2, 0)


@pytest.mark.parametrize(("over", "kept"), [((-0.1, 0.0), True), ((-0.1, 0.001), False), ((), True)])
def test_a_reading_keeps_its_limits_where_no_value_is_above(over: tuple[float, ...], kept: bool) -> None:
    reading = Observation(0, Estimate(1.0, 0.1), tuple(Estimate(each, 0.1) for each in over))
    assert reading.kept is kept
