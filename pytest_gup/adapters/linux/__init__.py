"""The running Linux kernel as an implementation under test: `--gup-impl=linux:FS`."""

from pytest_gup.adapters.linux.boot import boot_for, missing

__all__ = ["boot_for", "missing"]
