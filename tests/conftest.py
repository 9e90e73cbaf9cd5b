"""Shared by all tests."""

from hypothesis import settings

pytest_plugins = ["pytester"]

# How long an example takes says how busy the machine is, and nothing about a defect.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
