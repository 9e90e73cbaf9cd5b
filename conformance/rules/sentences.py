"""What the document says, sentence by sentence, and what came of it.

The numbers S1 to S30 are those by which clauses cite the document; the words are
ours. Which rules come from a sentence is read off their clauses, so a sentence needs
a word of explanation only where no rule cites it.

Interface:
  * `SENTENCES` in the order of the document; `rules_from(number)` finds the rules.
"""

import re

import attrs

from conformance.rules.catalogue import RULES
from conformance.rules.rule import DOCUMENT, Rule


@attrs.frozen
class Sentence:
    """One sentence of the document, in our words."""

    number: int
    says: str
    why_no_rule: str = ""
    """What it is there for, where no rule cites it."""


SENTENCES: tuple[Sentence, ...] = (
    Sentence(
        1,
        "Parts of the kernel reach user memory by its addresses through "
        "get_user_pages, and that does not always go together with filesystems.",
        "the subject; the rules say what going together means",
    ),
    Sentence(
        2,
        "With memory that belongs to files it can go wrong, and has.",
        "the subject; the mutants name the bugs that were seen",
    ),
    Sentence(
        3,
        "It began with direct I/O, whose references are short-lived, so that the "
        "moment in which writeback could meet them was small.",
    ),
    Sentence(
        4,
        "Programs cannot expect direct I/O to be ordered with accesses through a "
        "mapping of the same data, nor with changes of the mapping.",
    ),
    Sentence(
        5,
        "Newer users - virtual machines, drivers, RDMA - hold pages for seconds or "
        "for days.",
    ),
    Sentence(
        6,
        "Filesystems count on being able to write their pages, to free memory and "
        "to make data safe.",
    ),
    Sentence(
        7,
        "A device that may write to a page of a file makes it dirty without the "
        "filesystem's knowledge.",
    ),
    Sentence(
        8,
        "What follows depends on filesystem and disk: lost or corrupted data, or a "
        "kernel that stops in an assertion.",
    ),
    Sentence(
        9,
        "The assertion is about buffers, which should still be attached to the page "
        "when it is written.",
    ),
    Sentence(
        10,
        "page_mkwrite has to run on every write access to a clean page of a file, "
        "not just on the first.",
    ),
    Sentence(
        11,
        "How long the reference is held does not matter: whenever a clean page is to "
        "become dirty, page_mkwrite comes first.",
    ),
    Sentence(
        12,
        "Filesystems are not made for pages that hardware writes to.",
        "the reason for S10 and S11, which have the rules",
    ),
    Sentence(
        13,
        "References for a long time are a problem where they are for writing and the "
        "memory is a file's.",
    ),
    Sentence(
        14,
        "Writeback first makes the page read-only in all page tables; from then on "
        "the filesystem takes its content for stable.",
    ),
    Sentence(
        15,
        "Who called get_user_pages does not learn of changes of page tables.",
    ),
    Sentence(
        16,
        "Pages are got, written for a long time, marked dirty and put: the pattern is "
        "taken for safe, and is not.",
    ),
    Sentence(
        17,
        "Checksums, encryption and parity need content that does not change while it "
        "is being written.",
    ),
    Sentence(
        18,
        "Copy-on-write and snapshots need to put another page in the place of one "
        "that belongs to a file.",
    ),
    Sentence(
        19,
        "An idea: know which pages are in use by get_user_pages, and write a copy of "
        "them while the device goes on with the original.",
    ),
    Sentence(20, "That makes content stable, and solves nothing else."),
    Sentence(
        21,
        "What replaces pages can be kept from doing so while they are in use; that "
        "changes and limits it.",
    ),
    Sentence(
        22,
        "In full it is solved only by users who follow the page tables and react to "
        "their changes, as ODP and HMM do.",
    ),
    Sentence(
        23,
        "Direct I/O that reads into a mapping of a file can corrupt it: the pages may "
        "be under writeback meanwhile.",
    ),
    Sentence(
        24,
        "The race: get_user_pages is called before the page table entry has been "
        "made read-only.",
    ),
    Sentence(
        25,
        "The answer: get_user_pages never returns a page under writeback; it takes a "
        "write fault instead, and so waits for the writeback that is active.",
    ),
    Sentence(
        26,
        "That changes nothing of what get_user_pages has to do otherwise; it closes "
        "the race.",
    ),
    Sentence(27, "Five counters in /proc/vmstat show what happens."),
    Sentence(
        28,
        "An example: requests of both kinds are added, those returned subtracted, "
        "and seven are missing.",
    ),
    Sentence(
        29,
        "A difference may be a problem or none; normally there is none.",
    ),
    Sentence(
        30,
        "Two reasons for a difference: the counters are read while they change, or "
        "somewhere a get has no put.",
    ),
)


def rules_from(number: int) -> tuple[Rule, ...]:
    """Return the rules whose clause cites a sentence of the document."""
    return tuple(
        rule
        for rule in RULES
        if rule.clause.source == DOCUMENT and number in _cited(rule.clause.place)
    )


def _cited(place: str) -> set[int]:
    """Return the numbers of the sentences in a place such as "S10, S11; Linux ..."."""
    return {int(found) for found in re.findall(r"\bS(\d+)\b", place)}
