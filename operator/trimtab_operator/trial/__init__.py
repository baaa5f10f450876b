"""(phase, snapshot, analysis) -> Step. Pure: the state machine, the intent, and the status that says it all."""
