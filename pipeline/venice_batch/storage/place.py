"""Where something lies: what a job needs to know of a place before it opens the store there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from venice_batch.storage.s3.place import Access
    from venice_batch.storage.state_store import StateStore
    from venice_batch.storage.store import Store


class Place(ABC):
    """A folder or a prefix. Rendered by `str` as the user writes it; nothing is asked of it before a store is used.

    Attributes:
        versions_are_content: objects of one version have the same bytes, under whatever keys.
    """

    __slots__ = ()
    versions_are_content: ClassVar[bool] = False

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None where every byte takes a request."""
        return None

    @property
    def endpoint_url(self) -> str:
        """The address of a server that this place itself names; empty where the environment says, or there is none."""
        return ""

    @property
    @abstractmethod
    def identity(self) -> str:
        """A text that two places have in common only if they are the same one."""

    @abstractmethod
    def __truediv__(self, name: str, /) -> Self:
        """Return the place `name` below this one."""

    @abstractmethod
    def holds(self, other: Place) -> bool:
        """Whether `other` is this place or lies below it, however each is written."""

    def with_access(self, access: Access) -> Self:  # noqa: ARG002 - most places are reached in one way
        """Return it reached in this way, where there is more than one way."""
        return self

    def url_problem(self, *, from_here: bool) -> str:  # noqa: ARG002 - most places have no URLs at all
        """Return why the API cannot use a signed URL of an object here, or nothing.

        Args:
            from_here: the API reaches whatever this machine reaches.
        """
        return "only objects of a bucket can be sent by address"

    @abstractmethod
    def store(self) -> Store:
        """Return the store there; nothing is touched before its first method is called."""

    def state_store(self) -> StateStore | None:
        """Return the store there for a state to live in; None: a folder, whose state is made of files."""
        return None
