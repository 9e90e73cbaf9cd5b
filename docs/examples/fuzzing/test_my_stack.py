"""An implementation as an ordinary Hypothesis test, for pytest and for fuzzers."""

from conformance.engines.packed import packed_test
from reference_impl import boot

test_my_stack = packed_test(boot)
