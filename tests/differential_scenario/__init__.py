"""One scenario of many hundred calls, sent to Python Keystone and to Archstone; see test_differential.py.

It asks what the recordings in tests/reference/ don't: combinations, odd queries, and bad input on every route.
"""

from tests.differential_scenario import bad_input, combinations, queries, world

STEPS = [*world.STEPS, *combinations.STEPS, *queries.STEPS, *bad_input.steps()]
