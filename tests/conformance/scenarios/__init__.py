"""Tests; see tests/README.md for where they go."""
