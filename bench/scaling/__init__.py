"""`python -m bench.scaling`: autoscalers on the same simulated fleet, under the same traffic."""
