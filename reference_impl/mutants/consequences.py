"""What else a lie can lead to, in programs that no scenario has.

A mutant names the rules that it violates in the scenarios, exactly. A random program
may meet it in another situation: data that it loses is then missed by the rule that
looks there. Each entry was seen, and is a true violation, not a false alarm.
"""

CONSEQUENCES: dict[str, tuple[str, ...]] = {}
"""By name of the mutant: ids of rules."""
