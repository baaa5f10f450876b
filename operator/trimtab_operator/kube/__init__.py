"""A narrow port to the Kubernetes API: plain dicts in and out, typed errors, every write behind the leader's gate."""
