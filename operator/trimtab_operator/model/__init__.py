"""The nouns of one tick, in the order in which they are made: snapshot, analysis, decision, action. Data only."""
