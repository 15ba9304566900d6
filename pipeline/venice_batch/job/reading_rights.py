"""Which files a job may read, where the job alone says to which server their lines go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ReadingRights:
    """The folders below which files named by a job must lie.

    Attributes:
        folders: the job's own first, then what the user allows besides.
        because: the server that only the job names.
    """

    folders: tuple[Path, ...]
    because: str

    def check(self, path: Path) -> None:
        """Take a file below one of the folders, wherever links lead.

        Raises:
            OSError: it lies elsewhere; `strerror` says why.
        """
        real = path.resolve()
        if not any(real.is_relative_to(folder.resolve()) for folder in self.folders):
            raise PermissionError(
                1,
                f"it lies outside the job's folder, and the job alone says where its lines go ({self.because}); if you"
                " trust the job: --allow-read DIR or VENICE_ALLOW_READ",
                str(path),
            )
