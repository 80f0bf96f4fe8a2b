"""Faults injected into the real commands: nothing is lost, every resume is exact."""
