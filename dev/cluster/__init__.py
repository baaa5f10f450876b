"""A real Kubernetes on one Linux machine: upstream binaries, private state, nothing of the system's configuration."""
