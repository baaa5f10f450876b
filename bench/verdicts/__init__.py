"""How often the shipped verdict errs, on simulated arms that contain what production contains."""
