"""Carrying out a plan: the driver owns plan and manifest, workers do one thing at a time and return values."""
