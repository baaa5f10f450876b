"""How well the simulated replica meets measured ones, one module for each measured set."""
