"""The engine beside its rivals on one machine; `python -m bench.engine --help`."""
