"""References and pins: what get_user_pages takes, and what a put gives back."""

from conformance.interface import (
    Create,
    DeviceAbort,
    DeviceComplete,
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    Evict,
    Feature,
    FillDisk,
    Fsync,
    Geometry,
    GetUserPages,
    GetUserPagesFast,
    Load,
    PowerCut,
    PutPage,
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    Setup,
    Store,
    Truncate,
)
from conformance.program import Program
from conformance.scenarios.scenario import Scenario

_BIASED = Setup(features={Feature.SMALL_LIMITS})
_SMALL = Setup(
    geometry=Geometry(refcount_max=63, pin_bias=16), features={Feature.SMALL_LIMITS}
)
"""Three pins are the most that a page can ever have."""
_CROWDED = Setup(geometry=Geometry(pin_bias=8), features={Feature.SMALL_LIMITS})
"""Eight plain references look like a pin."""

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "pin-completed-and-pin-aborted",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE", "REF-QUERY"),
        Program(
            (
                GetUserPages(pin=0),
                GetUserPagesFast(pin=1),
                DeviceComplete(pin=0, value=7),
                DeviceAbort(pin=1),
            )
        ),
        "Two devices pin the same page; one writes it, the other gives up.",
    ),
    Scenario(
        "driver-fills-three-pages",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        Program((DeviceTransfer(pages=3, value=5), Load(page=1), Load(page=2))),
        "A driver of the stack pins three pages, fills them, and puts them.",
    ),
    Scenario(
        "driver-meets-the-end-of-the-file",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        Program((Truncate(words=3), DeviceTransfer(pages=4, value=5), Load(page=1))),
        "Only two of the four pages that a driver asks for can be had.",
    ),
    Scenario(
        "direct-read-and-direct-write",
        ("REF-BALANCE", "REF-NOTINTERCHANGEABLE"),
        Program(
            (
                Create(file=1),
                Store(page=0, value=3),
                Store(page=1, value=4),
                DirectWrite(page=0, file=1, file_page=0, pages=2),
                DirectRead(page=2, file=1, file_page=0, pages=2),
                Load(page=3),
            )
        ),
        "Two pages go to another file and come back, past the page cache.",
    ),
    Scenario(
        "every-way-to-put",
        ("REF-NOTINTERCHANGEABLE", "REF-QUERY"),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                PutUserPages(pin=0),
                GetUserPages(pages=2, pin=1),
                PutUserPage(pin=1, page=1),
                PutUserPage(pin=1, page=0),
                GetUserPages(pages=3, pin=2),
                PutUserPages(pin=2, first=1, pages=1),
                PutUserPagesDirty(pin=2),
                GetUserPages(pages=2, pin=3, tracked=False),
                PutPage(pin=3, page=1),
                PutPage(pin=3, page=0),
            )
        ),
        "Pins are put in all the ways that there are, in parts and out of order.",
    ),
    Scenario(
        "two-pins-and-a-plain-reference",
        ("REF-BIAS", "REF-QUERY"),
        Program(
            (
                GetUserPages(pin=0),
                GetUserPagesFast(pages=2, pin=1),
                GetUserPages(pin=2, tracked=False),
                DeviceAbort(pin=0),
            ),
            setup=_BIASED,
        ),
        "Two pins and a reference of one page; then one pin goes.",
    ),
    Scenario(
        "orphan-kept-by-a-pin",
        ("REF-QUERY", "REF-FREE"),
        Program(
            (
                Store(value=3),
                GetUserPages(pin=0),
                Truncate(words=0),
                DeviceAbort(pin=0),
            )
        ),
        "A pinned page is truncated: the pin is all that keeps it, until it is put.",
    ),
    Scenario(
        "orphan-kept-by-two",
        ("REF-FREE",),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                GetUserPages(pages=2, pin=1, tracked=False),
                Truncate(words=0),
                PutUserPage(pin=0, page=0),
                PutPage(pin=1, page=0),
                PutPage(pin=1, page=1),
                PutUserPage(pin=0, page=1),
            )
        ),
        "Pin and plain reference of an orphan are put in either order.",
    ),
    Scenario(
        "page-evicted-after-the-last-put",
        ("REF-FREE",),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                DeviceComplete(pin=0, value=9),
                Fsync(),
                Evict(),
                Load(page=1),
            )
        ),
        "Pages that were pinned once can be dropped like any other.",
    ),
    Scenario(
        "many-references-look-like-a-pin",
        ("REF-FALSEPOS",),
        Program(
            (
                GetUserPages(pin=0, tracked=False),
                *(GetUserPagesFast(pin=n, tracked=False) for n in range(1, 9)),
                Store(value=6),
                Fsync(),
                PowerCut(),
                *(PutPage(pin=n) for n in range(9)),
                Evict(),
                Load(),
            ),
            setup=_CROWDED,
        ),
        "A page with nine references is stored to and made durable.",
    ),
    Scenario(
        "looks-pinned-on-the-second-page",
        ("REF-FALSEPOS",),
        Program(
            (
                *(
                    GetUserPages(page=0, pages=2, pin=n, tracked=False)
                    for n in range(9)
                ),
                Store(page=0, value=6),
                Store(page=1, value=7),
                Fsync(),
                PowerCut(),
            ),
            setup=_CROWDED,
        ),
        "Two such pages; both have to be durable.",
    ),
    Scenario(
        "too-many-pins-slow",
        ("REF-OVERFLOW", "CNT-OVERFLOW"),
        Program((*(GetUserPages(pin=n) for n in range(5)),), setup=_SMALL),
        "More pins of one page are asked for than its count can hold.",
    ),
    Scenario(
        "too-many-pins-fast",
        ("REF-OVERFLOW", "CNT-OVERFLOW"),
        Program(
            (Store(value=1), *(GetUserPagesFast(pin=n) for n in range(5))),
            setup=_SMALL,
        ),
        "The same on the fast path.",
    ),
    Scenario(
        "too-many-plain-references",
        ("REF-OVERFLOW", "CNT-OVERFLOW"),
        Program(
            (
                GetUserPages(pin=0),
                GetUserPages(pin=1),
                *(GetUserPages(pin=2 + n, tracked=False) for n in range(34)),
            ),
            setup=_SMALL,
        ),
        "Plain references count as well, beside two pins.",
    ),
    Scenario(
        "too-many-pins-of-the-second-page",
        ("REF-OVERFLOW", "CNT-OVERFLOW", "REF-PARTIAL"),
        Program(
            (
                *(GetUserPages(page=1, pin=n) for n in range(3)),
                GetUserPages(page=0, pages=3, pin=3),
                GetUserPagesFast(page=0, pages=2, pin=4),
                DeviceAbort(pin=4),
                GetUserPages(page=0, pages=2, pin=5),
            ),
            setup=_SMALL,
        ),
        "The second page of a request is full, so that only the first is granted.",
    ),
    Scenario(
        "request-past-the-end-of-the-file",
        ("REF-PARTIAL",),
        Program(
            (
                Truncate(words=3),
                GetUserPages(pages=4, pin=0),
                GetUserPagesFast(page=1, pages=3, pin=1),
                DeviceComplete(pin=0, value=4),
                DeviceAbort(pin=1),
            )
        ),
        "The mapping is longer than the file: the request ends where the file does.",
    ),
    Scenario(
        "request-for-what-is-not-there",
        ("REF-PARTIAL",),
        Program((Truncate(words=0), GetUserPages(pages=2), GetUserPagesFast(pages=2))),
        "Not even the first page can be granted.",
    ),
    Scenario(
        "request-on-a-full-disk",
        ("REF-PARTIAL",),
        Program(
            (
                Store(page=0, value=2),
                FillDisk(),
                GetUserPages(pages=3, pin=0),
                DeviceAbort(pin=0),
            )
        ),
        "The first page has its block, the second finds none.",
    ),
    Scenario(
        "puts-of-the-wrong-kind",
        ("REF-NOTINTERCHANGEABLE",),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                PutPage(pin=0),
                PutUserPages(pin=0),
                GetUserPages(page=2, pages=2, pin=1, write=False, tracked=False),
                PutUserPage(pin=1),
                PutPage(pin=1, page=1),
                Fsync(),
            ),
            misuse=True,
        ),
        "A pin is put as a reference, and a reference as a pin. A mixture (REF-MIX) "
        "has no rule of its own: a stack may take it and be left with the difference, "
        "which is its caller's fault; where it refuses, REF-NOTINTERCHANGEABLE wants "
        "nothing changed by it.",
    ),
    Scenario(
        "minus-one-pages-put",
        ("REF-ERRNPAGES",),
        Program(
            (
                GetUserPages(pages=2, pin=0),
                PutUserPages(pin=0, pages=-1),
                PutUserPages(pin=0, first=1, pages=-2),
                PutUserPagesDirty(pin=0, pages=-1),
                PutUserPages(pin=0, pages=2),
            ),
            misuse=True,
        ),
        "A caller hands the error of get_user_pages on as a number of pages.",
    ),
    Scenario(
        "long-term-plain-reference",
        ("REF-VALIDFLAGS",),
        Program(
            (
                Load(),
                GetUserPages(pin=0, write=False, longterm=True, tracked=False),
                GetUserPagesFast(pin=1, write=False, longterm=True, tracked=False),
            )
        ),
        "For an unbounded time a page has to be pinned; a reference will not do.",
    ),
)
