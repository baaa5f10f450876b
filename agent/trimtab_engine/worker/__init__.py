"""The worker process: the only place of the engine where torch lives. The front never imports this package."""
