"""Hand-written programs with names, a file per chapter of the rules."""
