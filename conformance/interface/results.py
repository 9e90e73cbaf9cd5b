"""What each operation answers with; anything else is a defect of the implementation."""

from conformance.interface.operations import (
    Dedupe,
    DeviceRead,
    DeviceTransfer,
    DirectRead,
    DirectWrite,
    GetUserPages,
    Load,
    MirrorRead,
    Operation,
    PowerCut,
    Read,
)
from conformance.interface.values import FileImage, Geometry, PowerCutImage

_STAMP_MIN, _STAMP_MAX = -2, 255


def wrong_result(
    operation: Operation, result: object, geometry: Geometry
) -> str | None:
    """Return what is wrong with a result, or None."""
    match operation:
        case Load() | DeviceRead() | MirrorRead():
            ok, wanted = _is_stamp(result), "a stamp"
        case Read():
            ok = _is_words(result, geometry.words_per_page)
            wanted = f"a tuple of at most {geometry.words_per_page} stamps"
        case GetUserPages():
            ok = _is_count(result, 0, operation.pages)
            wanted = f"a number of pages up to {operation.pages}"
        case DirectRead() | DirectWrite() | DeviceTransfer() | Dedupe():
            ok = _is_count(result, 0, operation.pages)
            wanted = f"a number of pages up to {operation.pages}"
        case PowerCut():
            ok, wanted = _is_image(result), "a PowerCutImage of FileImages"
        case _:
            return None
    return None if ok else f"answered {_short(result)} (should be {wanted})"


def _is_stamp(value: object) -> bool:
    return type(value) is int and _STAMP_MIN <= value <= _STAMP_MAX


def _is_words(value: object, most: int) -> bool:
    return (
        isinstance(value, tuple) and len(value) <= most and all(map(_is_stamp, value))
    )


def _is_count(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_image(value: object) -> bool:
    return isinstance(value, PowerCutImage) and all(
        type(image) is FileImage and _is_words(image.words, len(image.words))
        for image in value.files.values()
    )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - the value is the implementation's
        return f"a {type(value).__name__} whose repr raises {type(error).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004
