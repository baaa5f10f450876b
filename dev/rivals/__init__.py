"""Programs that make decision vectors with the own code of other autoscalers; the Makefile here runs them."""
