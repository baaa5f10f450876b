"""Which configuration to try next: all that may be tried, and a Gaussian process over it of all that was measured."""
