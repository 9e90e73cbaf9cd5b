"""What is remembered of a stack: its states as numbers, and what was seen in them.

A state is a value for each part; it is kept as what is different from the first one.
Something that was found out in one state by reading some of the parts is true in every
state in which these have the same values.

Interface:
  * `stack(parts)` and `changed(stack, writes)` return the number of a state.
  * `note(key, stack, parts, what)`; later `recall(key, other)` returns it, if it holds.
"""

from collections.abc import Hashable, Iterable, Mapping

import attrs

from conformance.engines.touching import Part

Number = int
"""Stands for something that was met before, so that equal things are one number."""
_Writes = tuple[tuple[Number, Number], ...]


@attrs.define(eq=False)
class Numbers:
    """Gives equal things the same number."""

    count: int = 0
    _numbers: dict[Hashable, Number] = attrs.field(factory=dict[Hashable, Number])

    def of(self, thing: Hashable) -> Number:
        """Return the number of a thing."""
        number = self._numbers.setdefault(thing, self.count)
        self.count = len(self._numbers)
        return number


_ABSENT = 0
"""The value of a part that there is not."""

_Seen = dict[tuple[Number, ...], dict[tuple[Number, ...], object]]
"""By the parts read, and their values."""


@attrs.define(eq=False)
class Memory:
    """States of one stack, and what was seen in them."""

    parts: Numbers = attrs.field(factory=Numbers)
    _values: Numbers = attrs.field(factory=Numbers)
    _stacks: Numbers = attrs.field(factory=Numbers)
    _first: dict[Number, Number] = attrs.field(factory=dict[Number, Number])
    """Values of parts in the first state."""
    _changes: list[dict[Number, Number]] = attrs.field(
        factory=list[dict[Number, Number]]
    )
    """For each state, what is different from the first."""
    _led_to: dict[tuple[Number, _Writes], Number] = attrs.field(
        factory=dict[tuple[Number, _Writes], Number]
    )
    _recalled: dict[tuple[Hashable, Number], object] = attrs.field(
        factory=dict[tuple[Hashable, Number], object]
    )
    _seen: dict[Hashable, _Seen] = attrs.field(factory=dict[Hashable, _Seen])

    def __attrs_post_init__(self) -> None:
        self._values.of("absent")

    # --- states -------------------------------------------------------------------

    def stack(self, parts: Mapping[Part, Hashable]) -> Number:
        """Return the number of a state that was looked at."""
        numbers = {self.parts.of(p): self._values.of(v) for p, v in parts.items()}
        if not self._changes:
            self._first = numbers
        gone = ((part, _ABSENT) for part in self._first if part not in numbers)
        return self._number({**numbers, **dict(gone)})

    def changed(self, stack: Number, writes: _Writes) -> Number:
        """Return the number of the state that some writes lead to."""
        if not writes:
            return stack
        known = self._led_to.get((stack, writes))
        if known is None:
            known = self._number({**self._changes[stack], **dict(writes)})
            self._led_to[stack, writes] = known
        return known

    def _number(self, values: Mapping[Number, Number]) -> Number:
        first = self._first
        changes = {p: v for p, v in values.items() if v != first.get(p, _ABSENT)}
        number = self._stacks.of(frozenset(changes.items()))
        if number == len(self._changes):
            self._changes.append(changes)
        return number

    def value(self, stack: Number, part: Number) -> Number:
        """Return what stands in a part of a state; 0: there is no such part."""
        changes = self._changes[stack]
        return changes[part] if part in changes else self._first.get(part, _ABSENT)

    def difference(self, stack: Number, parts: Mapping[Part, Hashable]) -> _Writes:
        """Return what has to be written to a state to make it another."""
        after = self._changes[self.stack(parts)]
        before = self._changes[stack]
        return tuple(
            (part, after[part] if part in after else self._first.get(part, _ABSENT))
            for part in {**before, **after}
            if before.get(part) != after.get(part)
        )

    # --- what was seen ------------------------------------------------------------

    def note(
        self, key: Hashable, stack: Number, parts: Iterable[Part], what: object
    ) -> None:
        """Note something that was found out in a state by reading some parts."""
        read = tuple(sorted(self.parts.of(part) for part in parts))
        values = tuple(self.value(stack, part) for part in read)
        self._seen.setdefault(key, {}).setdefault(read, {})[values] = what

    def recall(self, key: Hashable, stack: Number) -> object:
        """Return what was noted, if it holds in another state; None: nothing does."""
        known = self._recalled.get((key, stack))
        if known is None:
            known = self._recall(key, stack)
            if known is not None:
                self._recalled[key, stack] = known
        return known

    def _recall(self, key: Hashable, stack: Number) -> object:
        changes, first = self._changes[stack], self._first
        for read, seen in self._seen.get(key, {}).items():
            values = tuple(
                [
                    changes[part] if part in changes else first.get(part, _ABSENT)
                    for part in read
                ]
            )
            if values in seen:
                return seen[values]
        return None
