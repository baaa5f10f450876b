"""The operator's side of trust on the wire between engines and agents: authority, signer, publication. DESIGN.md §4."""
