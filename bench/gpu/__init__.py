"""What a real GPU shows of the engine and the agent; `python -m bench.gpu --help`."""
