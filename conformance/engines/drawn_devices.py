"""How get_user_pages is drawn, and what devices do."""

from typing import Any

from conformance.engines.drawing import (
    DEVICES_MAX,
    EITHER,
    PAGE,
    PAGES,
    PINS_MAX,
    VALUE,
    WHICH,
    WORD,
    draws,
    one_of,
)
from conformance.engines.machine import StackMachine, pick
from conformance.interface import (
    Attach,
    Detach,
    DeviceAbort,
    DeviceComplete,
    DeviceRead,
    DeviceTransfer,
    DeviceWrite,
    DirectRead,
    DirectWrite,
    GetUserPages,
    GetUserPagesFast,
    MirrorRead,
    MirrorWrite,
    PutPage,
    PutUserPage,
    PutUserPages,
    PutUserPagesDirty,
    PutUserPagesDirtyLock,
    SetPageDirtyLock,
)


class GupMachine(StackMachine):
    """Draws get_user_pages and what gives pages back."""

    def _get(self, kind: type[GetUserPages], drawn: dict[str, Any]) -> None:
        where = (drawn.pop(field) for field in ("which", "page", "pages"))
        (process, mapping), page, pages = self.range_of(*where)
        pin = self.unused_pins(PINS_MAX)[0]
        option = drawn.pop("option")
        chosen = {option: option != "tracked"} if self.offers_option(option) else {}
        self.perform(kind(process, mapping, page, pages, pin, **drawn, **chosen))

    @draws(
        "get_user_pages",
        lambda m: m.mappings() and m.unused_pins(PINS_MAX),
        which=WHICH,
        page=PAGE,
        pages=PAGES,
        write=one_of(False, True, True, True),
        option=one_of("", "", "longterm", "nowait", "tracked", "tracked", "force"),
    )
    def get_user_pages(self, **drawn: Any) -> None:  # noqa: ANN401 - see `draws`
        self._get(GetUserPages, drawn)

    @draws(
        "get_user_pages_fast",
        lambda m: m.mappings() and m.unused_pins(PINS_MAX),
        which=WHICH,
        page=PAGE,
        pages=PAGES,
        write=one_of(False, True, True, True),
        option=one_of("", "", "longterm", "nowait", "tracked", "tracked", "force"),
    )
    def get_user_pages_fast(self, **drawn: Any) -> None:  # noqa: ANN401 - see `draws`
        self._get(GetUserPagesFast, drawn)

    @draws("put_user_page", lambda m: m.clean_pins(), which=WHICH, page=WHICH)
    def put_user_page(self, which: int, page: int) -> None:
        pin = pick(self.clean_pins(), which)
        self.perform(PutUserPage(pin=pin, page=pick(self.unput(pin), page)))

    @draws("put_user_pages", lambda m: m.clean_pins(), which=WHICH)
    def put_user_pages(self, which: int) -> None:
        self.perform(PutUserPages(pin=pick(self.clean_pins(), which)))

    @draws("put_user_pages_dirty", lambda m: m.quiet_pins(), which=WHICH)
    def put_user_pages_dirty(self, which: int) -> None:
        self.perform(PutUserPagesDirty(pin=pick(self.quiet_pins(), which)))

    @draws(
        "put_user_pages_dirty_lock",
        lambda m: m.pins(write=True),
        which=WHICH,
        page=WHICH,
        whole=EITHER,
    )
    def put_user_pages_dirty_lock(self, which: int, page: int, whole: bool) -> None:
        pin = pick(self.pins(write=True), which)
        first = pick(self.unput(pin), page)
        one = PutUserPagesDirtyLock(pin=pin, first=first, pages=1)
        self.perform(PutUserPagesDirtyLock(pin=pin) if whole else one)

    @draws("put_page", lambda m: m.pins(tracked=False), which=WHICH, page=WHICH)
    def put_page(self, which: int, page: int) -> None:
        pin = pick(self.pins(tracked=False), which)
        self.perform(PutPage(pin=pin, page=pick(self.unput(pin), page)))

    @draws("set_page_dirty_lock", lambda m: m.pins(write=True), which=WHICH, page=WHICH)
    def set_page_dirty_lock(self, which: int, page: int) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(SetPageDirtyLock(pin=pin, page=pick(self.unput(pin), page)))


class DeviceMachine(StackMachine):
    """Draws what devices do."""

    @draws(
        "device_write",
        lambda m: m.pins(write=True),
        which=WHICH,
        page=WHICH,
        word=WORD,
        value=VALUE,
    )
    def device_write(self, which: int, page: int, word: int, value: int) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(DeviceWrite(pin, pick(self.unput(pin), page), word, value))

    @draws("device_read", lambda m: m.pins(), which=WHICH, page=WHICH, word=WORD)
    def device_read(self, which: int, page: int, word: int) -> None:
        pin = pick(self.pins(), which)
        self.perform(DeviceRead(pin, pick(self.unput(pin), page), word))

    @draws(
        "device_complete",
        lambda m: m.pins(write=True),
        which=WHICH,
        value=VALUE,
    )
    def device_complete(self, which: int, value: int) -> None:
        pin = pick(self.pins(write=True), which)
        self.perform(DeviceComplete(pin=pin, value=value))

    @draws("device_abort", lambda m: m.clean_pins(), which=WHICH)
    def device_abort(self, which: int) -> None:
        self.perform(DeviceAbort(pin=pick(self.clean_pins(), which)))

    @draws(
        "device_transfer",
        lambda m: m.mappings(),
        which=WHICH,
        page=PAGE,
        pages=one_of(1, 1, 2, 4),
        value=VALUE,
    )
    def device_transfer(self, which: int, page: int, pages: int, value: int) -> None:
        key, page, pages = self.range_of(which, page, pages)
        self.perform(DeviceTransfer(*key, page, pages, value))

    @draws(
        "direct_read",
        lambda m: m.mappings() and m.files(),
        which=WHICH,
        page=PAGE,
        file=WHICH,
        file_page=PAGE,
        pages=PAGES,
    )
    def direct_read(
        self, which: int, page: int, file: int, file_page: int, pages: int
    ) -> None:
        key, page, pages = self.range_of(which, page, pages)
        source = pick(self.files(), file)
        self.perform(DirectRead(*key, page, source, file_page, pages))

    @draws(
        "direct_write",
        lambda m: m.mappings() and m.files(),
        which=WHICH,
        page=PAGE,
        file=WHICH,
        file_page=PAGE,
        pages=PAGES,
    )
    def direct_write(
        self, which: int, page: int, file: int, file_page: int, pages: int
    ) -> None:
        key, page, pages = self.range_of(which, page, pages)
        target = pick(self.files(), file)
        self.perform(DirectWrite(*key, page, target, file_page, pages))


class MirrorMachine(StackMachine):
    """Draws devices that follow the page tables."""

    @draws(
        "attach",
        lambda m: m.mappings() and m.unused_devices(DEVICES_MAX),
        which=WHICH,
    )
    def attach(self, which: int) -> None:
        process, mapping = pick(self.mappings(), which)
        self.perform(Attach(process, mapping, self.unused_devices(DEVICES_MAX)[0]))

    @draws("detach", lambda m: m.devices(), which=WHICH)
    def detach(self, which: int) -> None:
        self.perform(Detach(device=pick(self.devices(), which)))

    @draws(
        "mirror_write",
        lambda m: m.devices(),
        which=WHICH,
        page=PAGE,
        word=WORD,
        value=VALUE,
    )
    def mirror_write(self, which: int, page: int, word: int, value: int) -> None:
        device = pick(self.devices(), which)
        self.perform(MirrorWrite(device, page, word, value))

    @draws("mirror_read", lambda m: m.devices(), which=WHICH, page=PAGE, word=WORD)
    def mirror_read(self, which: int, page: int, word: int) -> None:
        self.perform(MirrorRead(pick(self.devices(), which), page, word))
