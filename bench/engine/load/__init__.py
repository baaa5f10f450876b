"""The load generator: one process, raw sockets, told by lines of JSON what to send."""
