"""The catalogue: what an implementation must obey, a file per chapter."""
