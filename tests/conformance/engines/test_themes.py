"""Themes: operations that belong together."""

from conformance.engines.decoding import HEADER_BYTES, THEME_BYTES, theme_of
from conformance.engines.themes import THEMES
from conformance.engines.vocabulary import MAKERS
from conformance.interface import OPERATIONS


def test_zero_is_no_theme_and_every_theme_has_a_number() -> None:
    """What shrinks to zero has nothing special, and half of the numbers mean that."""
    numbers = range(2 * len(THEMES))

    assert len(numbers) <= 256**THEME_BYTES
    assert HEADER_BYTES > THEME_BYTES
    assert theme_of(0) is None
    assert [theme for n in numbers if (theme := theme_of(n)) is not None] == [*THEMES]


def test_a_theme_has_what_it_takes() -> None:
    """No operation of one needs a thing that no other makes."""
    for theme in THEMES:
        makers = {MAKERS[name].name for name in theme.names if name in MAKERS}
        assert makers <= set(theme.names) <= set(OPERATIONS)


def test_no_two_are_alike() -> None:
    """Each is as likely as any other."""
    assert len(set(THEMES)) == len(THEMES)
