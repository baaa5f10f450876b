"""Variants of a model: inputs captured, plans searched, answers gated, one put in force. The front's side: no torch."""
