"""The pytest plugin: `pytest --gup-impl=mymodule` checks an implementation."""
