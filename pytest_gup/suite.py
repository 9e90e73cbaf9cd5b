"""Finding our own suite, whatever else is called `conformance`.

A user's project may have a package `conformance` of its own. Both must work: theirs
for their tests, ours for the rules, and for an implementation that imports
`conformance.interface`. Python has one `sys.modules`; so where two packages claim a
name, ours is there while our code runs, and theirs for the rest of the time.

Interface:
  * `import_suite()` before anything of `conformance` is imported.
  * `with ours():` around whatever may import or unpickle something of ours.
  * `give_way(folder)` when a package in the user's project turns out to have a name
    of ours.
  * `TEST_FILE` is the module whose tests are collected.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

PACKAGES = ("conformance", "reference_impl")

HOME = Path(__file__).resolve().parent.parent
"""The folder that pytest_gup, conformance and reference_impl are installed in."""

TEST_FILE = HOME / "conformance" / "test_rules.py"


class _Names:
    """Who has the names of our packages in `sys.modules`."""

    ours: dict[str, ModuleType]
    """Our modules, by full name."""
    gives_way = False
    """Somebody else has a package of the same name."""

    def __init__(self) -> None:
        self.ours = {}


_NAMES = _Names()


def import_suite() -> None:
    """Import our packages from where this one is."""
    if any(map(_is_taken, PACKAGES)):
        _NAMES.gives_way = True
    with ours(), _first_on_path(HOME):
        for name in PACKAGES:
            importlib.import_module(name)


def _is_taken(name: str) -> bool:
    """Tell whether `import name` gives somebody else's package."""
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.find_spec(name)
        file = None if spec is None else spec.origin
    else:
        file = module.__file__
    # A folder without __init__.py has no file; Python prefers our package to it.
    return file is not None and Path(file).resolve().parent.parent != HOME


@contextlib.contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Have our packages imported under their names."""
    if not _NAMES.gives_way:
        yield
        return
    theirs = _take_out()
    sys.modules.update(_NAMES.ours)
    try:
        yield
    finally:
        _NAMES.ours = _take_out()
        sys.modules.update(theirs)


def _take_out() -> dict[str, ModuleType]:
    """Remove the modules with our names from `sys.modules`, and return them."""
    names = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    return {name: sys.modules.pop(name) for name in names}


def give_way(folder: Path) -> None:
    """Note a folder that is about to be collected: a package may have our name."""
    is_package = folder.name in PACKAGES and (folder / "__init__.py").is_file()
    is_inner = (folder.parent / "__init__.py").is_file()
    is_ours = folder.resolve().parent == HOME
    if is_package and not is_inner and not is_ours and not _NAMES.gives_way:
        _NAMES.gives_way = True
        _NAMES.ours = _take_out()
