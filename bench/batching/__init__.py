"""The engine's batching rule against others, in a simulation; `python -m bench.batching [--json F]`."""
