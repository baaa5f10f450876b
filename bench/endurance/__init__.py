"""`python -m bench.endurance`: the engine for long, short of memory and under faults."""
