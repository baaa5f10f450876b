"""The engine's HTTP surface: which path answers what, and in which protocol's form."""
