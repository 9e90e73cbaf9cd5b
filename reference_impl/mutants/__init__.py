"""Faulty variants of the reference, a file per chapter of the rules."""
