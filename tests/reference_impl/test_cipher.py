"""The toy encryption."""

from reference_impl.cipher import STAMPS, decrypt, encrypt


def test_every_stamp_is_changed_and_comes_back() -> None:
    """For the first blocks of a disk; the same page looks different in each."""
    for stamp in range(STAMPS):
        hidden = {block: encrypt(block, (stamp, stamp)) for block in range(8)}

        assert len(set(hidden.values())) == len(hidden)
        for block, words in hidden.items():
            assert words != (stamp, stamp)
            assert decrypt(block, words) == (stamp, stamp)
