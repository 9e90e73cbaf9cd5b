"""Loads and stores answer the signal that they end in, and the process lives on."""

import platform
import subprocess
import sys
import textwrap

import pytest

from pytest_gup.adapters.linux.touch import MACHINES

pytestmark = pytest.mark.skipif(
    platform.machine() not in MACHINES, reason="no machine code for this processor"
)

PROGRAM = """
    import ctypes, mmap, os, tempfile
    from pytest_gup.adapters.linux.touch import Touch

    touch = Touch.install()
    with tempfile.TemporaryFile() as file:
        file.truncate(4096)
        there = mmap.mmap(file.fileno(), 4096)
        address = ctypes.addressof(ctypes.c_char.from_buffer(there))
        out = ctypes.create_string_buffer(16)
        print(touch.fill(address, 2048, 7), there[2047], there[2048])
        taken = ctypes.addressof(out)
        print(touch.copy(taken, address, 16), out.raw == bytes([7]) * 16)
        file.truncate(0)
        print(touch.fill(address, 2048, 7), touch.copy(taken, address, 1))
    print(touch.fill(8, 1, 7), touch.fill(address + 4096 * 0, 0, 7))
"""


def test_signals_are_answered() -> None:
    """7 is SIGBUS, behind the end of a file; 11 is SIGSEGV, where nothing is mapped."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout.split("\n") == ["0 7 0", "0 True", "7 7", "11 0", ""]


def test_other_faults_are_deadly() -> None:
    """A fault outside of the code that loads and stores ends the process."""
    program = """
        import ctypes
        from pytest_gup.adapters.linux.touch import Touch
        Touch.install()
        ctypes.string_at(8)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]

    done = subprocess.run(command, capture_output=True, check=False)

    assert done.returncode < 0
