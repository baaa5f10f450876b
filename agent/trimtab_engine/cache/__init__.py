"""The response cache: what is kept, what leaves first, whether it pays, and one computation for equal requests."""
