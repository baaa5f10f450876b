"""How batches are formed: a queue, a learned model of how long a batch takes, and the rule. No clock, no I/O."""
