"""A second stack that obeys the contract, built on other ideas than the reference.

It is there to keep the suite honest: a rule that complains about it asks for a
design and not for a property. What it does differently:

  * A device that writes never touches a page of a file. Its pin comes with a
    *shadow*, which is merged into the page when the pin is put, through
    page_mkwrite like any other write. So pages are stable and cleaned as if nobody
    had pinned them, and nothing is bounced.
  * There are no page tables and no page lock. A page knows which mappings may
    write to it without asking; cleaning it makes it forget them.
  * Pins are a list of grants on the page, beside its references. There is no bias.
  * A write of a page always goes to a new block, and the file is switched over when
    the write has ended. So truncate waits for no write of a page that it removes.
  * Calls are immediate, and there are no events.

Interface:
  * To start one, call `boot(Setup())`.
  * To drive it, call the methods of `Stack`; call again what a WouldBlock gives.
"""

from .stack import Stack, boot

__all__ = ["Stack", "boot"]
