"""The engine wire: the node's engines ask here for their settings and report what they made of them."""
