"""Replays recorded exchanges of Python Keystone 30.0.0 and compares every answer.

The recordings are in tests/reference/golden. `python -m tests.golden --help` for the command line.
"""
