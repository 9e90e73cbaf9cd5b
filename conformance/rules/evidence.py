"""What several chapters look at: words that are lost, claims, samples at rest.

Interface:
  * `lost_in_memory(case)`: answers of Load, Read and DeviceRead that no correct stack
    gives. `lost_on_disk(case)`: the same for what a PowerCut left.
  * `found_losses(case, rule_id)`: findings for the losses that a rule owns; see
    `blame.py` for who owns what.
  * `call_at(case, sample)`: the call that had just settled.
  * `at_rest(sample)`: no call is under way. `rests(history)`: these samples.
  * `claimed_clean`, `mkwrite_between`: claims of the stack. None: it does not tell.
"""

from collections.abc import Iterator

from conformance.oracle.history import Call, History, Moment, Sample
from conformance.rules.losses import Loss, losses_of
from conformance.rules.rule import Case, Finding

__all__ = [
    "Loss",
    "at_rest",
    "call_at",
    "claimed_clean",
    "found_losses",
    "lost_in_memory",
    "lost_on_disk",
    "mkwrite_between",
    "rests",
]

# --- samples and claims ---------------------------------------------------------


def at_rest(sample: Sample) -> bool:
    """Whether no call was under way, parked ones included."""
    return not sample.parked and not sample.pending


def call_at(case: Case, sample: Sample) -> Call | None:
    """Return the call after which a sample was taken; None: before the first."""
    return case.history.calls[sample.after] if sample.after >= 0 else None


def rests(history: History) -> list[Sample]:
    """Return the samples that were taken at rest."""
    return [sample for sample in history.samples if at_rest(sample)]


def claimed_clean(
    history: History, file: int, page: int, moment: Moment
) -> bool | None:
    """Tell whether the stack last showed a page as not dirty; None: it did not show.

    A page that was not cached counts as clean; one under writeback may be either.
    """
    sample = history.sample_before(moment)
    view = None if sample is None else sample.pages.get((file, page))
    if view is None:
        return None
    if view.is_cached is False:
        return True
    return None if view.is_dirty is None else not view.is_dirty


def mkwrite_between(
    history: History, file: int, begin: Moment, end: Moment
) -> bool | None:
    """Tell whether page_mkwrite may have run for a file; None: it cannot be told.

    Judged by the count of its calls, or else by the modification time, between the
    last sample before `begin` and the first after `end`.
    """
    before, after = history.sample_before(begin), history.sample_after(end)
    if before is None or after is None:
        return None
    for was, now in (
        (before.mkwrites, after.mkwrites),
        (before.mtimes, after.mtimes),
    ):
        if file in was and file in now:
            return was[file] != now[file]
    return None


# --- losses ---------------------------------------------------------------------


def lost_in_memory(case: Case) -> Iterator[Loss]:
    """Yield each word that a Load, Read or DeviceRead showed wrongly."""
    yield from losses_of(case.oracle).in_memory


def lost_on_disk(case: Case) -> Iterator[Loss]:
    """Yield each word that a PowerCut showed wrongly."""
    yield from losses_of(case.oracle).on_disk


def found_losses(case: Case, owner: str) -> Iterator[Finding]:
    """Yield a finding for each loss that a rule owns."""
    losses = losses_of(case.oracle)
    for loss in (*losses.in_memory, *losses.on_disk):
        if loss.owner == owner:
            yield case.found(loss.call, loss.sentence)
