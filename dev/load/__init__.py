"""Open-loop load generator: requests are sent when a schedule says so, however slowly they are answered."""
