"""Tools of the people who develop Trimtab: the local cluster and the demo."""
