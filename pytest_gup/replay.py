"""From `--gup-corpus` and `--gup-replay` to a folder and a counterexample.

Every failure is a `pytest.UsageError`: one sentence that names the remedy.
"""

from pathlib import Path

import pytest

from pytest_gup import corpus, options
from pytest_gup.corpus import Corpus
from pytest_gup.counterexample import Counterexample

IDS_SHOWN = 5


def corpus_of(config: pytest.Config) -> Corpus:
    """Return the folder of counterexamples, read.

    Raises:
        pytest.UsageError: what was named is no folder.
    """
    named, text = named_corpus(config), options.text(config, "corpus")
    # What stands in the ini file is meant from there, not from where pytest is run.
    above = config.rootpath if named is None else config.invocation_params.dir
    folder = above / (text or corpus.FOLDER)
    is_ours = not text
    if not is_ours and folder.exists() and not folder.is_dir():
        raise pytest.UsageError(
            f"--gup-corpus={folder}: it is no folder; name one, or one to be made"
        )
    return Corpus.load(folder, is_ours=is_ours)


def named_corpus(config: pytest.Config) -> str | None:
    """Return the folder that was named on the command line, as it was."""
    named: str | None = config.getoption("gup_corpus")
    return named


def chosen(config: pytest.Config, known: Corpus) -> Counterexample | None:
    """Return what is to be run again; None: nothing, this is a run like any other.

    Raises:
        pytest.UsageError: there is no such counterexample.
    """
    wanted = options.text(config, "replay")
    if not wanted:
        return None
    return known.find(wanted) or _read(wanted, config.invocation_params.dir, known)


def _read(wanted: str, above: Path, known: Corpus) -> Counterexample:
    path = above / wanted
    if not path.is_file():
        stored = ", ".join(known.ids()[:IDS_SHOWN]) or "none"
        raise pytest.UsageError(
            f"--gup-replay={wanted}: there is no such file, nor a counterexample "
            f"with this id in {known.folder} (there: {stored}); name another folder "
            "with --gup-corpus"
        )
    try:
        return corpus.read(path)
    except ValueError as error:
        raise pytest.UsageError(
            f"--gup-replay={wanted}: {error}; name a file that pytest-gup has stored"
        ) from error
