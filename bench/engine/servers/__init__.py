"""The rivals' server programs; each runs in its rival's own environment, beside the models in `workload.py`."""
