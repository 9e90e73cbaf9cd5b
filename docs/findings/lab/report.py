"""What a script prints, and how it ends.

Interface:
  * `Report(title)`, `report.case(...)` for each case, `sys.exit(report.end())`.
  * `kernel_log()` begins to listen to the kernel's log; calling that tells the lines.
"""

import errno
import os
import platform
import sys
from collections.abc import Callable


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def kernel_log() -> Callable[[], list[str]]:
    """Begin to listen to the kernel's log."""
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)

    def lines() -> list[str]:
        found = []
        while True:
            try:
                record = os.read(log, 8192).decode(errors="replace")
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue
                return found
            found.append(record.partition(";")[2].splitlines()[0])

    return lines


class Report:
    """The cases of one script."""

    def __init__(self, title: str | None) -> None:
        self.wrong = self.right = self.cases = self.controls = 0
        say((title or "").strip() + "\n")
        say(f"Linux {platform.release()} {platform.machine()}")
        how = "block layer" if os.environ.get("PIN") == "block" else "FUSE"
        say(f"pins by: {how}\n")

    def case(
        self, name: str, seen: str, should: str, *, is_control: bool = False
    ) -> None:
        """Note what was seen in a case, and what should have been."""
        is_right = seen == should
        if is_control:
            self.controls += 1
            self.right += is_right
        else:
            self.cases += 1
            self.wrong += not is_right
        kind = "control" if is_control else "case"
        verdict = "as it should be" if is_right else f"WRONG, should be {should}"
        say(f"{kind:8}{name:58}{seen:>6}   {verdict}")

    def tell(self, *lines: str) -> None:
        """Show something beside the cases."""
        for line in lines:
            say(f"        | {line}")

    def end(self) -> int:
        """Say what comes out of it; 0 if all of it was confirmed."""
        is_confirmed = self.wrong == self.cases and self.right == self.controls
        say(
            f"\n{self.wrong} of {self.cases} case(s) wrong, "
            f"{self.right} of {self.controls} control(s) right: "
            f"{'confirmed' if is_confirmed else 'NOT confirmed'}"
        )
        return int(not is_confirmed)
