"""Garbage collection of stored results: mark what is needed, sweep the rest."""
