"""What is remembered of a stack: its states as numbers, and what was seen in them.

A state is a value for each part. Something that was found out in one state by reading
some of the parts is true in every state in which these have the same values.

Interface:
  * `stack(parts)` and `changed(stack, writes)` return the number of a state, `writes`
    and `difference` that of what is written to one.
  * `note(lore, stack, parts, what)`; `recall(lore, other)` returns it, if it holds
    there. There is a `Lore` for each question.
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping

import attrs

from conformance.engines.snapshot import ABSENT
from conformance.engines.touching import Part

Number = int
"""Stands for something that was met before, so that equal things are one number."""
_Values = tuple[Number, ...]
"""What stands in each part; parts after the last of them are absent."""
_Writes = tuple[tuple[Number, Number], ...]
"""Parts, and the values that are written to them."""


@attrs.define(eq=False)
class Numbers:
    """Gives equal things the same number."""

    count: int = 0
    _numbers: dict[Hashable, Number] = attrs.field(factory=dict[Hashable, Number])

    def of(self, thing: Hashable) -> Number:
        """Return the number of a thing."""
        number = self._numbers.setdefault(thing, self.count)
        if number == self.count:
            self.count += 1
        return number


_ABSENT = 0
"""The value of a part that there is not."""


@attrs.define(eq=False)
class Lore:
    """What was found out about one question, in the states where it was asked."""

    by_stack: dict[Number, object] = attrs.field(factory=dict[Number, object])
    """What holds in a state, if that was looked up before."""
    by_parts: dict[tuple[Number, ...], dict[tuple[Number, ...], object]] = attrs.field(
        factory=dict[tuple[Number, ...], dict[tuple[Number, ...], object]]
    )
    """By the parts read, and their values."""


@attrs.define(eq=False)
class Memory:
    """States of one stack, and what was seen in them."""

    parts: Numbers = attrs.field(factory=Numbers)
    _values: Numbers = attrs.field(factory=Numbers)
    _stacks: Numbers = attrs.field(factory=Numbers)
    _contents: list[_Values] = attrs.field(factory=list[_Values])
    """For each state, the value of each part."""
    _written: Numbers = attrs.field(factory=Numbers)
    _writes: list[_Writes] = attrs.field(factory=list[_Writes])
    _led_to: dict[tuple[Number, Number], Number] = attrs.field(
        factory=dict[tuple[Number, Number], Number]
    )
    """By state and writes."""

    def __attrs_post_init__(self) -> None:
        self._values.of(ABSENT)

    # --- states -------------------------------------------------------------------

    def stack(self, parts: Mapping[Part, Hashable]) -> Number:
        """Return the number of a state that was looked at."""
        return self._number((), self._numbered(parts))

    def changed(self, stack: Number, writes: Number) -> Number:
        """Return the number of the state that some writes lead to."""
        known = self._led_to.get((stack, writes))
        if known is None:
            known = self._number(self._contents[stack], self._writes[writes])
            self._led_to[stack, writes] = known
        return known

    def _number(
        self, before: _Values, writes: Iterable[tuple[Number, Number]]
    ) -> Number:
        values = list(before)
        for part, value in writes:
            if part >= len(values):
                values += [_ABSENT] * (part + 1 - len(values))
            values[part] = value
        while values and values[-1] == _ABSENT:
            values.pop()
        contents = tuple(values)
        number = self._stacks.of(contents)
        if number == len(self._contents):
            self._contents.append(contents)
        return number

    def value(self, stack: Number, part: Number) -> Number:
        """Return what stands in a part of a state; 0: there is no such part."""
        values = self._contents[stack]
        return values[part] if part < len(values) else _ABSENT

    # --- writes -------------------------------------------------------------------

    def difference(self, stack: Number, parts: Mapping[Part, Hashable]) -> Number:
        """Return what has to be written to a state to make it one looked at."""
        before, after = self._contents[stack], self._contents[self.stack(parts)]
        pairs = itertools.zip_longest(before, after, fillvalue=_ABSENT)
        return self._number_of(
            (part, new) for part, (old, new) in enumerate(pairs) if old != new
        )

    def writes(self, changes: Mapping[Part, Hashable]) -> Number:
        """Return what is written if parts get these values; `ABSENT`: one is gone."""
        return self._number_of(self._numbered(changes))

    def is_written(self, part: Number, writes: Number) -> bool:
        """Tell whether a part is among those written."""
        return any(part == each for each, _ in self._writes[writes])

    def _numbered(self, parts: Mapping[Part, Hashable]) -> _Writes:
        part_of, value_of = self.parts.of, self._values.of
        return tuple([(part_of(part), value_of(v)) for part, v in parts.items()])

    def _number_of(self, writes: Iterable[tuple[Number, Number]]) -> Number:
        written = tuple(sorted(writes))
        number = self._written.of(written)
        if number == len(self._writes):
            self._writes.append(written)
        return number

    # --- what was seen ------------------------------------------------------------

    def note(
        self, lore: Lore, stack: Number, parts: Iterable[Part], what: object
    ) -> None:
        """Note something that was found out in a state by reading some parts."""
        read = tuple(sorted(self.parts.of(part) for part in parts))
        values = tuple(self.value(stack, part) for part in read)
        lore.by_parts.setdefault(read, {})[values] = what

    def recall(self, lore: Lore, stack: Number) -> object:
        """Return what was noted, if it holds in another state; None: nothing does."""
        known = lore.by_stack.get(stack)
        if known is None:
            known = self._recall(lore, stack)
            if known is not None:
                lore.by_stack[stack] = known
        return known

    def _recall(self, lore: Lore, stack: Number) -> object:
        values = self._contents[stack]
        values += (_ABSENT,) * (self.parts.count - len(values))
        for read, seen in lore.by_parts.items():
            read_now = tuple([values[part] for part in read])
            if read_now in seen:
                return seen[read_now]
        return None
