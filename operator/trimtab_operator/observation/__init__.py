"""World -> Snapshot: what Prometheus and the API server say at one instant, typed. No data never means zero."""
