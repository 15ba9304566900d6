"""What `docker build` sends to the builder: the rules of .dockerignore, as far as this project uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


class Ignored:
    """The rules of a .dockerignore file; the last one that fits a path, or a folder above it, decides."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        self._rules = [_rule(line) for line in lines if line and not line.startswith("#")]

    def __contains__(self, path: str) -> bool:
        """Tell whether a file, by its path from the context's root, stays behind."""
        parts = PurePosixPath(path).parts
        names = ["/".join(parts[: length + 1]) for length in range(len(parts))]
        ignored = False
        for keeps, pattern in self._rules:
            if any(pattern.fullmatch(name) for name in names):
                ignored = not keeps
        return ignored


def context(root: Path) -> Iterator[str]:
    """Yield every file that is sent, by its path from `root`."""
    ignored = Ignored((root / ".dockerignore").read_text("utf-8"))
    for top in sorted(root.iterdir()):
        # Not walked when left out as a whole: .git and .venv are large.
        if top.name in ignored:
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            name = path.relative_to(root).as_posix()
            if path.is_file() and name not in ignored:
                yield name


def _rule(line: str) -> tuple[bool, re.Pattern[str]]:
    keeps, pattern = line.startswith("!"), line.removeprefix("!")
    regex = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return keeps, re.compile(regex)
