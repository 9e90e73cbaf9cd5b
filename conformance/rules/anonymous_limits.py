"""What get_user_pages may hand out of private memory, and what of it concerns others.

A write through a private mapping is no write to its file. A page that its process
may not write to is handed out for writing to nobody, and secret memory not at all.
"""

from collections.abc import Iterator

from conformance.interface import (
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceWrite,
    Dontneed,
    Errno,
    GetUserPages,
    KernelError,
    Load,
    Mprotect,
    PowerCut,
    PutPage,
    PutUserPage,
    PutUserPages,
    Read,
    Store,
)
from conformance.oracle.history import Call, Moment
from conformance.oracle.layout import Memory, PageName
from conformance.rules.accounts import spells
from conformance.rules.private_losses import (
    PrivatePin,
    device_looks,
    found,
    private_pins,
    stores,
)
from conformance.rules.rule import (
    KERNEL,
    Case,
    Clause,
    Finding,
    Needs,
    Rule,
    rule,
)
from conformance.verdicts import Kind, Level, Promise

_GUP = "get_user_pages|get_user_pages_fast"

# --- private mappings of files --------------------------------------------------------


@rule(
    "MKW-PRIVATE-MAP",
    clause=Clause(
        KERNEL,
        "mm/memory.c, do_cow_fault, wp_page_copy; S10 of the document",
        "writing through a private mapping writes to an anonymous copy; the file is "
        "neither changed nor told",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("mmap(shared)", f"store|{_GUP}")),
)
def private_writes_are_not_the_files(case: Case) -> Iterator[Finding]:
    """What is written through a private mapping reaches no file, nor page_mkwrite."""
    for call, names in _private_writes(case):
        for name in names:
            if _is_file_looked_at(case, name, call.asked):
                case.premise()
    yield from _told(case)
    yield from found(case, "MKW-PRIVATE-MAP")


def _private_writes(case: Case) -> Iterator[tuple[Call, list[PageName]]]:
    """Yield what was written through private mappings, with the pages of the files."""
    for call, _ in case.history.asked(Store, DeviceWrite, DeviceComplete):
        names = [name for name in _written(case, call) if name[0] < 0]
        files = [
            (memory.file, page)
            for number, page in names
            if (memory := case.oracle.layout.memories[number]).is_private
            and memory.file is not None
        ]
        if call.succeeded and files:
            yield call, files


def _written(case: Case, call: Call) -> list[PageName]:
    """Return the pages of memory that a store, or a device, wrote to."""
    operation = call.operation
    if isinstance(operation, Store):
        where = operation.process, operation.mapping, operation.page
        names = [case.oracle.layout.name(*where, call.asked)]
    else:
        record = case.oracle.pin_of(call)
        pages = () if record is None else record.pages
        names = [page.name for page in pages if call in page.device_writes]
    return [name for name in names if name is not None]


def _is_file_looked_at(case: Case, name: PageName, since: Moment) -> bool:
    looked = (
        case.oracle.file_page(call) == name or isinstance(operation, PowerCut)
        for call, operation in case.history.asked(Read, Load, PowerCut)
        if call.succeeded and call.asked > since
    )
    return any(looked)


def _told(case: Case) -> Iterator[Finding]:
    """Yield the calls on private mappings alone with which page_mkwrite ran."""
    if case.history.program.misuse:
        return
    for spell in spells(case.history):
        files = [_file_of(case, call) for call in spell.calls]
        if None in files or not any(_is_writing(call) for call in spell.calls):
            continue
        for file in sorted({file for file in files if file is not None}):
            before, after = spell.before.mkwrites, spell.after.mkwrites
            if file not in before or file not in after:
                continue
            case.premise()
            if before[file] != after[file]:
                yield case.found(
                    spell.calls[-1],
                    f"page_mkwrite of file {file} was called "
                    f"{after[file] - before[file]} time(s) with "
                    f"{spell.calls[-1].operation} of a private mapping (should not be)",
                )


def _is_writing(call: Call) -> bool:
    operation = call.operation
    is_get = isinstance(operation, GetUserPages) and operation.write
    return is_get or isinstance(operation, Store | DeviceWrite | DeviceComplete)


def _file_of(case: Case, call: Call) -> int | None:
    """Return the file that a call has mapped privately; None: it is about another."""
    memory: Memory | None = None
    match call.operation:
        case Store() | Load() | GetUserPages() as operation:
            where = operation.process, operation.mapping
            span = case.oracle.layout.find(*where, call.asked)
            memory = None if span is None else span.memory
        case (
            DeviceWrite()
            | DeviceRead()
            | DeviceComplete()
            | DeviceAbort()
            | PutUserPage()
            | PutUserPages()
            | PutPage()
        ):
            record = case.oracle.pin_of(call)
            name = record.pages[0].name if record is not None and record.pages else None
            memory = case.oracle.layout.memories.get(name[0]) if name else None
        case _:
            pass
    return memory.file if memory is not None and memory.is_private else None


# --- what is handed out for writing ---------------------------------------------------


@rule(
    "GWB-WRITEBIT",
    clause=Clause(
        KERNEL,
        "mm/gup.c, can_follow_write_pte, 19be0eaffa3a; CVE-2016-5195",
        "a page is handed out for writing only while the process could write to it",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP,)),
)
def write_pins_need_a_writable_entry(case: Case) -> Iterator[Finding]:
    """A page that the process may not write to is not handed out for writing."""
    for call, operation in case.history.asked(GetUserPages):
        is_meant = operation.write and not operation.force
        if not is_meant or call.answered is None or case.history.program.misuse:
            continue
        is_barred = _is_read_only(case, call, operation)
        if is_barred or _is_raced(case, call, operation):
            case.premise()
        if is_barred and call.result:
            yield case.found(
                call,
                f"{operation} of a read-only mapping was granted {call.result} "
                "page(s) (should be refused)",
            )
    yield from found(case, "GWB-WRITEBIT")


def _is_read_only(case: Case, call: Call, operation: GetUserPages) -> bool:
    where = operation.process, operation.mapping
    span = case.oracle.layout.find(*where, call.asked)
    return span is not None and span.writabilities(call.asked, call.ended) == {False}


def _is_raced(case: Case, call: Call, operation: GetUserPages) -> bool:
    """Whether the mapping was changed while its pages were being handed out."""
    return any(
        (other.process, other.mapping) == (operation.process, operation.mapping)
        and changing.asked < call.ended
        and changing.ended > call.asked
        for changing, other in case.history.asked(Dontneed, Mprotect)
    )


@rule(
    "LT-SECRETMEM",
    clause=Clause(
        KERNEL,
        "mm/gup.c, gup_fast_folio_allowed, 65291dcfcf89; mm/secretmem.c",
        "secret memory is handed out to nobody, on neither path",
    ),
    kind=Kind.DISCIPLINE,
    document=Level.MAY,
    mainline=Level.MUST,
    needs=Needs(operations=(_GUP, "mmap(secret)")),
)
def secret_memory_is_not_handed_out(case: Case) -> Iterator[Finding]:
    """get_user_pages of secret memory is refused."""
    for call, operation in case.history.asked(GetUserPages):
        span = case.oracle.layout.find(operation.process, operation.mapping, call.asked)
        if span is None or not span.memory.is_secret or call.answered is None:
            continue
        case.premise()
        if call.succeeded and call.result:
            yield case.found(
                call,
                f"{operation} of secret memory was granted {call.result} page(s) "
                "(should be refused)",
            )


# --- pins for reading, for long -------------------------------------------------------


@rule(
    "LT-RO",
    clause=Clause(
        KERNEL,
        "mm/gup.c, gup_must_unshare, 84209e87c696; S13 of the document",
        "a long-term pin for reading is allowed for a shared mapping of a file; of a "
        "private one it is a pin of the process's own page from the beginning",
    ),
    kind=Kind.DAMAGE,
    document=Level.MUST,
    mainline=Level.MUST,
    needs=Needs(operations=("get_user_pages(longterm)|get_user_pages_fast(longterm)",)),
)
def longterm_readers_stay_up_to_date(case: Case) -> Iterator[Finding]:
    """A long-term read pin is granted, and goes on showing what its mapping shows."""
    for pin in private_pins(case):
        if pin.record.longterm and not pin.record.write and not _had_page(case, pin):
            for store in stores(case, pin.name):
                is_later = store.asked > pin.maker.ended
                if is_later and any(True for _ in device_looks(case, pin, store.ended)):
                    case.premise()
    if case.promise is Promise.MAINLINE:
        yield from _refused(case)
    yield from found(case, "LT-RO")


def _had_page(case: Case, pin: PrivatePin) -> bool:
    """Whether the process had a page of its own before it was pinned."""
    maker, private = pin.maker, case.oracle.private_pins
    return private.is_anonymous(pin.name, maker.asked, maker.ended)


def _refused(case: Case) -> Iterator[Finding]:
    """Yield the long-term read pins of shared mappings of files that are refused."""
    for call, operation in case.history.asked(GetUserPages):
        is_meant = operation.longterm and not operation.write and not operation.nowait
        if not is_meant or call.answered is None or case.history.program.misuse:
            continue
        load = Load(operation.process, operation.mapping, operation.page)
        probe = Call(call.index, load, call.asked, call.answered)
        is_file = case.oracle.target(
            operation.process, operation.mapping, operation.page, call.asked
        )
        if is_file is None or case.oracle.may_signal(probe):
            continue
        case.premise()
        if isinstance(call.error, KernelError) and call.error.errno in _REFUSALS:
            yield case.found(
                call,
                f"{operation} of a shared mapping of a file was refused with "
                f"{call.error.errno.value} (should be granted)",
            )


_REFUSALS = frozenset({Errno.EFAULT, Errno.EINVAL, Errno.EOPNOTSUPP})
"""Refusals that are meant for good: not for want of memory, nor for the time being."""


RULES: tuple[Rule, ...] = (
    private_writes_are_not_the_files,
    write_pins_need_a_writable_entry,
    longterm_readers_stay_up_to_date,
    secret_memory_is_not_handed_out,
)
