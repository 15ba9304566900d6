"""Writes what docs/ and configs/ repeat from the code: ``make docs``.

A generator is a module of this folder with a function ``files()``, which returns the text of each file that it makes;
tests/unit/test_documents.py compares them with what is committed, so that nothing made can be out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tools import pictures, reference, schemas

ROOT = Path(__file__).parents[1]
#: One line registers a generator.
GENERATORS = (reference.files, schemas.files)


def made() -> Mapping[Path, str]:
    """Return the text of every generated file, by its path."""
    return {file: text for files in GENERATORS for file, text in files().items()}


def stale() -> list[Path]:
    """Return the files that are not as they would be made now."""
    return [file for file, text in made().items() if not file.is_file() or file.read_text("utf-8") != text]


def main() -> None:
    """Write every file that is out of date, name it, and draw the pictures anew."""
    texts = made()
    for file in stale():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(texts[file], "utf-8")
        sys.stdout.write(f"wrote {file.relative_to(ROOT)}\n")
    pictures.draw()


if __name__ == "__main__":
    main()
