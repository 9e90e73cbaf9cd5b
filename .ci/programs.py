"""Print what a seed means: a digest of the programs that are drawn.

.ci/run compares what each Python prints; it must be the same.
"""

import hashlib
import sys

from conformance.engines.budget import Budget
from conformance.engines.explorer import run_explorer
from conformance.engines.packed import run_packed
from conformance.engines.scenario_run import probe
from conformance.oracle.history import History
from conformance.program import as_python
from reference_impl import boot

for draw in (run_explorer, run_packed):
    histories: list[History] = []
    draw(boot, probe(boot), histories.append, Budget(), 1)
    text = "\n".join(as_python(history.program) for history in histories)
    sys.stdout.write(f"{draw.__name__} {hashlib.sha256(text.encode()).hexdigest()}\n")
