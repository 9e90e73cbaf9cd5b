"""What a booted stack offers, found out by looking at it.

Interface:
  * `capabilities_of(stack)` looks once, after boot.
  * `missing_for(program)` and `missing_for_rule(rule)` say what is lacking, or None.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cache, cached_property, lru_cache

import attrs

from conformance.interface import OPERATIONS, Feature, Geometry, Operation
from conformance.interface.stack import Observations
from conformance.program import Program
from conformance.rules.rule import Needs, Rule

OBSERVATIONS = tuple(name for name in vars(Observations) if not name.startswith("_"))
"""Names of the methods by which a stack shows itself."""

STANDS_IN = {
    "get_user_pages": "get_user_pages_fast",
    "get_user_pages_fast": "get_user_pages",
}
"""A stack with only one path of GUP has it called for the other, too."""

HANDLES = frozenset(
    {"process", "file", "mapping", "pin", "child", "clone", "other", "device"}
)
"""Fields that name something, and are no options: what does not exist is skipped."""

MADE_OF_PARTS = {
    "device_complete": (
        "device_write",
        "put_user_pages_dirty_lock|put_user_pages_dirty",
    ),
    "device_abort": ("put_user_pages|put_user_page",),
}
"""Operations that the suite makes of others where a stack lacks them."""


class ContractError(Exception):
    """The implementation does not keep the contract's form."""


@attrs.frozen
class Capabilities:
    """What a stack offers."""

    parameters: dict[str, frozenset[str] | None]
    """For each operation offered, the fields its method takes; None: any."""
    observations: frozenset[str]
    features_offered: frozenset[Feature]
    features_fixed: frozenset[Feature]
    geometry: Geometry
    is_stepped: bool

    @cached_property
    def offered(self) -> frozenset[str]:
        """Names of the operations that are offered, in one way or another."""
        return frozenset(name for name in OPERATIONS if self.offers(name))

    def method_for(self, operation_name: str) -> str | None:
        """Return the method to be called for an operation; None: there is none."""
        if operation_name in self.parameters:
            return operation_name
        other = STANDS_IN.get(operation_name)
        return other if other in self.parameters else None

    def offers(self, name: str) -> bool:
        """Tell whether an operation is offered: "store", "get_user_pages(nowait)"."""
        operation_name, _, option = name.rstrip(")").partition("(")
        method = self.method_for(operation_name)
        if method is None:
            parts = MADE_OF_PARTS.get(operation_name)
            return parts is not None and all(map(self.offers_any, parts))
        parameters = self.parameters[method]
        return not option or parameters is None or option in parameters

    def offers_any(self, alternatives: str) -> bool:
        """Tell whether one of "a|b" is offered."""
        return any(self.offers(name) for name in alternatives.split("|"))

    def lacks(self, operation: Operation) -> str | None:
        """Return what an operation needs and the stack lacks, or None."""
        if not self.offers(operation.name):
            return operation.name
        for option in _options_used(operation):
            if not self.offers(f"{operation.name}({option})"):
                return f"{operation.name}({option})"
        return None

    def missing_for(self, program: Program) -> str | None:
        """Return what a program needs and the stack lacks, or None."""
        has = self.features_offered | self.features_fixed
        for feature in sorted(program.setup.features - has, key=lambda f: f.value):
            return f"feature {feature.value}"
        if (program.schedule or program.turns) and not self.is_stepped:
            return "stepping"
        for operation in program.operations:
            lacking = self.lacks(operation)
            if lacking is not None:
                return f"operation {lacking}"
        return None

    def missing_for_rule(self, rule: Rule) -> str | None:
        """Return what a rule needs and the stack lacks, or None."""
        needs = rule.needs
        lacking = [
            *(f"operation {n}" for n in needs.operations if not self.offers_any(n)),
            *(f"observation {n}" for n in needs.observations if not self._shows(n)),
            *self._missing_features(needs),
        ]
        if needs.stepping and not self.is_stepped:
            lacking.append("stepping")
        return lacking[0] if lacking else None

    def _shows(self, alternatives: str) -> bool:
        return not self.observations.isdisjoint(alternatives.split("|"))

    def _missing_features(self, needs: Needs) -> Iterator[str]:
        fixed = {feature.value for feature in self.features_fixed}
        has = fixed | {feature.value for feature in self.features_offered}
        if needs.features and not has & set(needs.features):
            yield f"feature {'|'.join(needs.features)}"
        for name in needs.absent_features:
            if name in fixed:
                yield f"a stack without feature {name}"


def _options_used(operation: Operation) -> list[str]:
    """Return the fields that are not at their default, handles excepted."""
    return [
        name
        for name, default in _options(operation.name)
        if getattr(operation, name) != default
    ]


@cache
def _options(name: str) -> tuple[tuple[str, object], ...]:
    """Return the fields of an operation that have defaults, with these."""
    return tuple(
        (field.name, field.default)
        for field in attrs.fields(OPERATIONS[name])
        if field.name not in HANDLES and field.default is not attrs.NOTHING
    )


def capabilities_of(stack: object, asked: Geometry) -> Capabilities:
    """Look at a booted stack.

    Raises:
        ContractError: an attribute is not of the type that the contract says.
    """
    parameters = {
        name: _parameters(getattr(stack, name))
        for name in OPERATIONS
        if callable(getattr(stack, name, None))
    }
    observations = [
        name for name in OBSERVATIONS if callable(getattr(stack, name, None))
    ]
    return Capabilities(
        parameters=parameters,
        observations=frozenset(observations),
        features_offered=_features(stack, "features_offered"),
        features_fixed=_features(stack, "features_fixed"),
        geometry=_geometry(stack, asked),
        is_stepped=callable(getattr(stack, "background", None))
        or any(
            inspect.isgeneratorfunction(getattr(stack, name)) for name in parameters
        ),
    )


def _parameters(method: object) -> frozenset[str] | None:
    function = getattr(method, "__func__", method)
    try:
        return _parameters_of(function)
    except TypeError:  # it cannot be hashed: look again each time
        return _parameters_of.__wrapped__(function)


@lru_cache(maxsize=4096)
def _parameters_of(function: Callable[..., object]) -> frozenset[str] | None:
    """Return the names a function takes; looked up once, as boot is called often."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return frozenset(parameter.name for parameter in parameters)


def _features(stack: object, name: str) -> frozenset[Feature]:
    features: object = getattr(stack, name, frozenset())
    if not isinstance(features, (set, frozenset, tuple, list)) or not all(
        isinstance(feature, Feature) for feature in features
    ):
        raise ContractError(f"{name} is {features!r} (should be a set of Feature)")
    return frozenset(features)


def _geometry(stack: object, asked: Geometry) -> Geometry:
    geometry = getattr(stack, "geometry", asked)
    if not isinstance(geometry, Geometry):
        raise ContractError(f"geometry is {geometry!r} (should be a Geometry)")
    return geometry
