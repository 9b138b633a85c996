"""Tests of Archstone from outside: over HTTP, against programs and recordings we did not write."""
