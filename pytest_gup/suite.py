"""Finding our own suite, whatever else is called `conformance`.

A user's project may have a folder `conformance` of its own, and with `python -m
pytest` it comes first on `sys.path`. Ours is the one that was installed beside this
package. A folder of the same name in the user's project stays importable as far as
can be: its modules are found after ours.

Interface:
  * `import_suite()` before anything else of `conformance` is imported.
  * `TEST_FILE` is the module whose tests are collected.
"""

import importlib
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The folder that pytest_gup, conformance and reference_impl are installed in."""

TEST_FILE = HOME / "conformance" / "test_rules.py"


def import_suite() -> None:
    """Import `conformance` and `reference_impl` from where this package is."""
    for name in ("conformance", "reference_impl"):
        loaded = sys.modules.get(name)
        if loaded is None or not _is_ours(loaded.__file__):
            _import_ours(name)


def _is_ours(file: str | None) -> bool:
    return file is not None and Path(file).resolve().parent.parent == HOME


def _import_ours(name: str) -> None:
    others = [Path(entry or ".").resolve() / name for entry in sys.path]
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]
    sys.path.insert(0, str(HOME))
    try:
        package = importlib.import_module(name)
    finally:
        sys.path.remove(str(HOME))
    known = {Path(path).resolve() for path in package.__path__}
    package.__path__.extend(
        str(path) for path in others if path.is_dir() and path not in known
    )
