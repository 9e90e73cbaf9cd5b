"""Kernel samepage merging: run for as long as one operation takes, never longer.

Its settings are the machine's. Before the first change the keeper writes down what
they were (`runfolder.py`); they are put back when the operation ends, when the stack
is taken down, and by the next run if this one was killed.

Interface:
  * `is_there` says whether this kernel has it.
  * `settings` reads what `scan` changes, `restore` puts it back.
  * `scan` merges what processes have offered for merging.
"""

import errno
import time
from pathlib import Path

FOLDER = Path("/sys/kernel/mm/ksm")
WANTED = {"smart_scan": "0", "sleep_millisecs": "1", "pages_to_scan": "1000"}
"""Settings that make a scan quick, and look at every page."""
RUN = "run"
SCANS = 3
"""Full scans after which equal pages are merged: one may be half over, the next
remembers what a page holds, the last finds it unchanged."""
SCAN_SECONDS = 3.0
"""How long that may take; a process that sleeps in a fault makes the scan wait."""
POLL_SECONDS = 0.002


def is_there() -> bool:
    """Whether this kernel can merge, and leaves it to us."""
    return (FOLDER / RUN).exists() and settings().get(RUN) == "0"


def settings() -> dict[str, str]:
    """Read the settings that a scan changes; a kernel may lack some."""
    names = [RUN, *WANTED]
    return {
        name: (FOLDER / name).read_text().strip()
        for name in names
        if (FOLDER / name).exists()
    }


def restore(before: dict[str, str]) -> None:
    """Put settings back; stop first, for what runs must not see them half changed."""
    for name, value in sorted(before.items(), key=lambda item: item[0] != RUN):
        (FOLDER / name).write_text(value)


def scan() -> None:
    """Have everything scanned that is offered for merging.

    Raises:
        OSError: EAGAIN, it took too long.
    """
    before = settings()
    try:
        for name in before.keys() & WANTED.keys():
            (FOLDER / name).write_text(WANTED[name])
        last = _full_scans() + SCANS
        (FOLDER / RUN).write_text("1")
        deadline = time.monotonic() + SCAN_SECONDS
        while _full_scans() < last:
            if time.monotonic() > deadline:
                raise OSError(errno.EAGAIN, "merging did not come to an end")
            time.sleep(POLL_SECONDS)
    finally:
        restore(before)


def _full_scans() -> int:
    return int((FOLDER / "full_scans").read_text())
