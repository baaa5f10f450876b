"""What limits a snapshot's target, as the analysis of a tick asks for it."""

from __future__ import annotations

from typing import Any

from fakes.builders import a_policy

from trimtab_operator.analysis.bottleneck import bottleneck
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.use import use_of
from trimtab_operator.model.analysis import Bottleneck
from trimtab_operator.model.snapshot import Snapshot


def limiting(snapshot: Snapshot, **policy: Any) -> Bottleneck | None:
    """Find it under a policy of these fields, trusted or not."""
    return bottleneck(Seen(snapshot, a_policy(**policy), snapshot.distributions, None), use_of(snapshot))


def named(snapshot: Snapshot, **policy: Any) -> Bottleneck:
    """Find it where there must be one."""
    found = limiting(snapshot, **policy)
    assert found is not None
    return found
