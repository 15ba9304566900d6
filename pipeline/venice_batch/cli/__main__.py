"""``python -m venice_batch.cli``."""

from venice_batch.cli import main

main()
