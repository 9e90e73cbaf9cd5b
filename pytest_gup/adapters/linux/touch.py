"""Loads and stores that survive the signal they may end in.

A store to a page of a full filesystem ends in SIGBUS, and a Python process does not
outlive that. So load and store are a few bytes of machine code in a page of their
own, with a signal handler, machine code as well, that answers the signal's number
instead of dying. A real access through a real page table entry, in the process and
the thread that the program names: no copy made by the kernel (that would be no CPU
store), no child process (that would be another address space).

Interface:
  * `Touch.fill` stores one byte repeated; `Touch.copy` loads. Both answer 0, or the
    number of the signal, and let other threads run meanwhile.
  * `Touch.install` once for each process, after the last fork.

The code, for x86_64 (`fill` and `copy` as the C functions of that shape; `handler`
looks whether the signal came from them, and has them return; any other signal is
deadly, as it should be):

    fill:    mov eax, edx; mov rcx, rsi; cld; rep stosb; xor eax, eax; ret
    copy:    mov rcx, rdx; cld; rep movsb; xor eax, eax; ret
    handler: mov rax, [rdx+168]         ; where the signal struck (REG_RIP)
             lea rcx, [fill];    cmp rax, rcx; jb other
             lea rcx, [handler]; cmp rax, rcx; jae other
             movsxd rax, edi; mov [rdx+144], rax    ; answer (REG_RAX) = signal
             lea rcx, [fixup]; mov [rdx+168], rcx; ret
    other:   ud2
    fixup:   ret
"""

import ctypes
import mmap
import platform
import signal

import attrs

from pytest_gup.adapters.linux.kernel import LIBC

CODE = bytes.fromhex(
    "89d0 4889f1 fc f3aa 31c0 c3"
    "4889d1 fc f3a4 31c0 c3"
    "488b82a8000000"
    "488d0ddeffffff 4839c8 7225"
    "488d0de6ffffff 4839c8 7319"
    "4863c7 48898290000000"
    "488d0d0a000000 48898aa8000000 c3"
    "0f0b"
    "c3"
)
FILL, COPY, HANDLER = 0x00, 0x0B, 0x14
MACHINES = frozenset({"x86_64"})
SA_SIGINFO = 4

_Fill = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_Copy = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)


class _SigAction(ctypes.Structure):
    """`struct sigaction` of the C library."""

    _fields_ = (  # type: ignore[mutable-override]  # never changed
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


@attrs.define(eq=False)
class Touch:
    """Machine code in a page of this process."""

    page: mmap.mmap
    address: int

    @classmethod
    def install(cls) -> "Touch":
        """Put the code into a page and have it catch the signals."""
        assert platform.machine() in MACHINES, f"no code for {platform.machine()}"
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        page.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        protection = mmap.PROT_READ | mmap.PROT_EXEC
        LIBC.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, protection)
        action = _SigAction(handler=address + HANDLER, flags=SA_SIGINFO)
        for number in (signal.SIGBUS, signal.SIGSEGV):
            LIBC.sigaction(int(number), ctypes.byref(action), None)
        return cls(page, address)

    def fill(self, address: int, size: int, value: int) -> int:
        """Store `value` in each byte; answer 0 or the number of a signal."""
        answer: int = _Fill(self.address + FILL)(address, size, value)
        return answer

    def copy(self, target: int, source: int, size: int) -> int:
        """Load bytes; answer 0 or the number of a signal."""
        answer: int = _Copy(self.address + COPY)(target, source, size)
        return answer
