"""The link to the agent of this node: settings come in and are put in force, reports go out."""
