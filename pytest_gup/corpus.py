"""The folder of counterexamples: what was violated once is tried first ever after.

One file for each, `ID.json`. A file is written under another name and then renamed,
so a reader finds it whole or not at all, however many runs there are at a time.

A folder of our own (`.gup` in pytest's root) is made with the first violation, and
forgets what is violated no longer. A folder that was named (`--gup-corpus`) is the
user's, perhaps kept in git: nothing is ever removed there.

Interface:
  * `Corpus.load(folder, is_ours)` reads what is there; `remarks` says what was odd.
  * `known(implementation, promise)` are the programs to be run first; those without
    an end are not among them.
  * `keep(found)` stores one; `note(verdicts)` takes what became of the known ones,
    and `settle()` forgets those that are fixed.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from conformance.engines.plan import Known
from conformance.verdicts import Promise, Verdict
from pytest_gup import counterexample
from pytest_gup.counterexample import CRASH, ENDLESS, Counterexample

FOLDER = ".gup"
IGNORE = "# Made by pytest-gup: what was violated, to be tried again.\n*\n"
OBEYED = {Verdict.HELD.value, Verdict.NOT_EXERCISED.value}
"""What a known program must say about its rule to count as fixed."""


NO_MORE = {CRASH: "did not crash", ENDLESS: "came to its end"}
STILL = {
    CRASH: (Verdict.CRASHED, "crashed"),
    ENDLESS: (Verdict.INCONCLUSIVE, "did not come to its end"),
}
"""What to say of what is about no rule, when it was run again."""


@attrs.define(eq=False)
class Corpus:
    """The counterexamples of one folder."""

    folder: Path
    is_ours: bool
    """False: the folder was named by the user, and nothing is removed."""
    remarks: list[str] = attrs.field(factory=list[str])
    """What there is to say about it at the end of a run."""
    _files: dict[Path, Counterexample] = attrs.field(factory=dict[Path, Counterexample])
    _verdicts: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])
    """By id: what all engines and workers said about a known program."""

    @classmethod
    def load(cls, folder: Path, *, is_ours: bool) -> "Corpus":
        """Read a folder; what cannot be read is passed over, and said."""
        corpus = cls(folder, is_ours)
        for path in sorted(folder.glob("*.json")):
            try:
                corpus._files[path] = read(path)
            except FileNotFoundError:
                continue  # another run has just found it fixed
            except ValueError as error:
                corpus.remarks.append(f"passed over {path}: {error}")
        return corpus

    def known(self, implementation: str, promise: Promise) -> tuple[Known, ...]:
        """Return the programs of one implementation, the shortest first."""
        mine = {
            each.id: each.known()
            for each in self._files.values()
            if (each.implementation, each.promise) == (implementation, promise)
            and not each.is_endless
        }
        return tuple(
            sorted(mine.values(), key=lambda k: (len(k.program.operations), k.id))
        )

    def find(self, id: str) -> Counterexample | None:
        """Return the one with an id, now or earlier, or in a file of that name."""
        named = [
            each for path, each in self._files.items() if id in {each.id, path.stem}
        ]
        named += [each for each in self._files.values() if id in each.earlier]
        return named[0] if named else None

    def ids(self) -> list[str]:
        """Return the short names of all."""
        return sorted({each.id for each in self._files.values()})

    # --- keeping ------------------------------------------------------------------

    def keep(self, found: Counterexample) -> None:
        """Store one, unless it is there and no more is known of it now."""
        there = {each.id: (path, each) for path, each in self._files.items()}
        path, old = there.get(found.id, (self.folder / f"{found.id}.json", None))
        if old is not None and not found.adds_to(old):
            return
        longer = [there[short] for short in found.earlier if short in there]
        for before in (old, *(each for _, each in longer)):
            found = found.follows(before)
        try:
            self._write(path, found)
        except OSError as error:
            self._remark(f"{found.id} could not be stored in {self.folder}", error)
            return
        self._files[path] = found
        for at, each in longer:
            self._give_way(at, each, found)

    def _give_way(self, path: Path, old: Counterexample, new: Counterexample) -> None:
        """Put a program in the place of the longer one that it was made from."""
        was, now = (len(each.program.operations) for each in (old, new))
        self.remarks.append(
            f"made smaller: {old.label} is {new.id} now ({was} -> {now} operations)"
        )
        if self.is_ours:
            self._remove(path)

    def _write(self, path: Path, found: Counterexample) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.is_ours:
                (self.folder / ".gitignore").write_text(IGNORE, encoding="utf-8")
        text = json.dumps(counterexample.to_json(found), indent=1) + "\n"
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _remark(self, words: str, error: OSError) -> None:
        self.remarks.append(f"{words}: {error.strerror or error}")

    # --- forgetting ---------------------------------------------------------------

    def note(self, verdicts: Mapping[str, str]) -> None:
        """Take what known programs said about their rules, by id."""
        for short, verdict in verdicts.items():
            self._verdicts.setdefault(short, set()).add(verdict)

    def settle(self) -> None:
        """Forget what is violated no longer, and say so."""
        fixed = {short for short, said in self._verdicts.items() if said <= OBEYED}
        for path, each in list(self._files.items()):
            if each.id in fixed:
                self._forget(path, each)

    def settle_replay(self, again: Counterexample) -> None:
        """Say so if what was run again was not violated; nothing is forgotten."""
        said = self._verdicts.get(again.id, set())
        if said and said <= OBEYED:
            word = NO_MORE.get(again.what, "not violated")
            self.remarks.append(f"{word} this time: {again.label}")
        for what, (verdict, word) in STILL.items():
            if again.what == what and verdict.value in said:
                self.remarks.append(f"{word} again: {again.label}")

    def _forget(self, path: Path, fixed: Counterexample) -> None:
        if not self.is_ours:
            word = "no longer crashes" if fixed.is_crash else "no longer violated"
            self.remarks.append(f"{word}: {fixed.label}")
            return
        # What was seen only once may be there still.
        word = "dropped" if fixed.is_unsteady else "fixed"
        self.remarks.append(f"{word}: {fixed.label}")
        self._remove(path)

    def _remove(self, path: Path) -> None:
        del self._files[path]
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._remark(f"{path} could not be removed", error)


def read(path: Path) -> Counterexample:
    """Read one file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it cannot be read, or holds something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    return counterexample.from_json(record)
