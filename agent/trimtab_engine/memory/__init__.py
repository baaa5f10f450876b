"""Memory safety: what a pass needs is learned, what is left is read; when it runs short, something gives way."""
