"""Controls of the second act: where nothing should change, where less should, and where nothing is left to gain."""
