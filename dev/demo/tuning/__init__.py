"""The demo's second act: two replicas that start poorly, an overload without a break, a policy that tunes them."""
