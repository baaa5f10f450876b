"""Every published figure, one command each: `make bench-<name>`."""
