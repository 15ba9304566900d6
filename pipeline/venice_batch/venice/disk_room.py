"""Room on the disk for the answers in flight, taken before their calls are sent and given back when they end."""

from __future__ import annotations

import errno
import os
import threading

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Bytes taken for an answer at least, and at most: larger ones are rare, and find their room while they arrive.
_LEAST = 512 << 10
_MOST = 64 << 20


class DiskRoom:
    """Allocates the files of answers; on a disk that is nearly full calls wait for one another. Safe for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holders = 0
        self._largest = _LEAST

    def take(self, descriptor: int, at_most: int) -> None:
        """Allocate what the answer will need, as large as the largest so far; wait while others may give some back.

        Raises:
            OSError: there is no room, and no call in flight that could make some.
        """
        with self._changed:
            while not self._allocated(descriptor, min(self._largest, at_most)):
                self._changed.wait()
            self._holders += 1

    def _allocated(self, descriptor: int, size: int) -> bool:
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno in _FULL:
                # What was allocated before it was full would be missing elsewhere while this one waits.
                os.ftruncate(descriptor, 0)
                if self._holders:
                    return False
                raise
            # A file system that cannot allocate: the answer finds its room while it arrives.
        return True

    def give_back(self, descriptor: int, size: int) -> None:
        """Leave the file as large as its answer is, and let those that wait try again."""
        with self._changed:
            self._holders -= 1
            self._largest = min(_MOST, max(self._largest, size))
            os.ftruncate(descriptor, size)
            self._changed.notify_all()


#: One for the process: answers of all calls share its disks.
DISK_ROOM = DiskRoom()
