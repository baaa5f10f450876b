"""Where a test may end the process, to show that nothing is lost there: TRIMTAB_FAIL_POINT names one point.

The points: `trial-stored` (the trial is written, the policy is not), `status-stored` (the intent stands, nothing acts
yet), `before-act` (the stored intent is about to be acted upon), `acted` (the write is done, nobody has noted it).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

POINTS: Final = ("trial-stored", "status-stored", "before-act", "acted")
EXIT_CODE: Final = 86


@dataclass(frozen=True)
class FailPoint:
    """Ends the process when it gets to the named point; without a name it never does."""

    name: str | None = None

    def reach(self, point: str) -> None:
        """Pass, or end the process at once: no cleanup, as in a crash."""
        if point == self.name:
            os._exit(EXIT_CODE)
