"""The life of the authority: when it is replaced, and who signs meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trimtab_operator.controllers.trust.authority import make_authority
from trimtab_operator.controllers.trust.rotation import Authorities, Plan, plan, signer
from trimtab_operator.settings import TrustSettings

NOW = 1_700_000_000.0
DAY = 86_400.0
YEAR = 365 * DAY
SETTINGS = TrustSettings()
ALONE = Authorities(make_authority(NOW))
STORED = Authorities(make_authority(NOW + 300 * DAY), ALONE.current)
"""A rotation that began on day 300, not yet published."""
PUBLISHED_AT = NOW + 300 * DAY + 20
ROTATING = replace(STORED, published_at=PUBLISHED_AT)


@pytest.mark.parametrize(
    ("stored", "now", "due"),
    [
        pytest.param(None, NOW, Plan.CREATE, id="nothing stored"),
        pytest.param(ALONE, NOW, Plan.KEEP, id="new"),
        pytest.param(ALONE, NOW + 0.75 * YEAR, Plan.KEEP, id="a quarter of its life left"),
        pytest.param(ALONE, NOW + 0.75 * YEAR + 1, Plan.BEGIN, id="less than a quarter left"),
        pytest.param(ALONE, NOW + YEAR, Plan.CREATE, id="expired: nothing can be kept"),
        pytest.param(replace(ALONE, asked="a"), NOW, Plan.BEGIN, id="a person asks"),
        pytest.param(replace(ALONE, asked="a", honoured="a"), NOW, Plan.KEEP, id="the wish was followed"),
        pytest.param(replace(ALONE, asked="b", honoured="a"), NOW, Plan.BEGIN, id="another wish"),
        pytest.param(replace(ALONE, honoured="a"), NOW, Plan.KEEP, id="the wish was withdrawn"),
        pytest.param(STORED, NOW + 320 * DAY, Plan.KEEP, id="not published: the old one is not dropped"),
        pytest.param(replace(ROTATING, asked="c"), PUBLISHED_AT, Plan.KEEP, id="a wish during a rotation waits"),
        pytest.param(ROTATING, PUBLISHED_AT + 180 + 25 * 3600 - 1, Plan.KEEP, id="within grace"),
        pytest.param(ROTATING, PUBLISHED_AT + 180 + 25 * 3600, Plan.DROP, id="grace is over"),
    ],
)
def test_what_is_due_follows_from_what_is_stored_and_the_time(
    stored: Authorities | None, now: float, due: Plan
) -> None:
    assert plan(stored, now, SETTINGS) is due


@pytest.mark.parametrize(
    ("stored", "now", "signs"),
    [
        pytest.param(ALONE, NOW, ALONE.current, id="alone"),
        pytest.param(STORED, NOW + 301 * DAY, ALONE.current, id="not published yet"),
        pytest.param(ROTATING, PUBLISHED_AT + 179, ALONE.current, id="engines may not have read the new one"),
        pytest.param(ROTATING, PUBLISHED_AT + 180, ROTATING.current, id="settled"),
        pytest.param(STORED, NOW + YEAR, STORED.current, id="the old one is over before it was published"),
    ],
)
def test_the_old_authority_signs_until_engines_have_read_the_new_one(
    stored: Authorities, now: float, signs: object
) -> None:
    assert signer(stored, now, SETTINGS) is signs


def test_the_last_leaf_of_the_old_authority_is_over_before_it_goes() -> None:
    last_leaf_ends = PUBLISHED_AT + SETTINGS.settle_seconds + DAY
    assert plan(ROTATING, last_leaf_ends, SETTINGS) is Plan.KEEP


def test_both_are_trusted_during_a_rotation() -> None:
    assert ALONE.bundle == ALONE.current.certificate_pem
    assert ROTATING.bundle == ROTATING.current.certificate_pem + ALONE.current.certificate_pem


def test_no_key_stands_in_a_repr() -> None:
    assert "key" not in repr(ROTATING)
