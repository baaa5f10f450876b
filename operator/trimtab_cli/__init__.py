"""kubectl-trimtab: what the operator knows about policies, in a terminal. It reads; kubectl writes."""
