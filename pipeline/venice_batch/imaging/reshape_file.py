"""Local steps in a row: one decoding, all of them in memory, one encoding."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from venice_batch.imaging.apply_ops import apply_operations
from venice_batch.imaging.colour import is_foreign
from venice_batch.imaging.decode import open_image, pillow_errors, probe
from venice_batch.imaging.encode import encode, png_quick, removed_on_error
from venice_batch.imaging.facts import Facts
from venice_batch.imaging.fit_for_api import convert, prepare
from venice_batch.imaging.local_ops import Convert, Fit, Operation, ToSrgb, encodes


def reshape(path: Path, into: Path, operations: Sequence[Operation]) -> Facts | None:
    """Write the picture that operations make of a file: 8-bit sRGB, upright, first picture, no metadata.

    The result is a PNG, compressed quickly, since it is meant to be read once more, unless the last operation is about
    the file itself (`Convert`, `Fit` with a byte limit). To send or publish what comes out, hand the operations to
    `prepare` or `rendition_writer` instead, which spares this file.

    Args:
        path: the picture; never changed.
        into: the file to write; temporary files lie beside it while this runs.
        operations: in order.

    Returns:
        Facts of the new file; None where there is nothing to do: `path` is what was asked for, nothing is written.

    Raises:
        ItemError: as `verify`; where an operation cannot be carried out on this picture; ``alpha-lost``.
        Unavailable: `into` cannot be written.
    """
    with apply_file_operations(path, into, operations) as (file, rest):
        if not rest or is_noop(file, probe(file), rest):
            if file == path:
                return None
            with removed_on_error(into):
                shutil.move(file, into)
        else:
            image = apply_operations(file, probe(file), rest)
            with pillow_errors():
                encode(image, into, png_quick())
    return probe(into)


@contextmanager
def apply_file_operations(
    path: Path, into: Path, operations: Sequence[Operation]
) -> Iterator[tuple[Path, tuple[Operation, ...]]]:
    """Carry out operations up to the last one that is about the file; give that file, and what is left to do.

    Args:
        path: the picture.
        into: names the temporary files, which are gone when the block ends.
        operations: in order.
    """
    made: list[Path] = []
    waiting: list[Operation] = []
    try:
        for operation in operations:
            if encodes(operation):
                target = into.with_name(f"{into.name}.{len(made)}")
                if _encode(path, target, waiting, operation):
                    made.append(target)
                    path = target
                waiting = []
            else:
                waiting.append(operation)
        yield path, tuple(waiting)
    finally:
        for file in made:
            file.unlink(missing_ok=True)


def _encode(path: Path, into: Path, before: Sequence[Operation], encoder: Operation) -> bool:
    """Return False, with nothing written, where the file is already as asked."""
    if is_noop(path, probe(path), (*before, encoder)):
        return False
    match encoder:
        case Fit():
            prepare(path, into, limits=encoder.limits, operations=before)
        case Convert():
            convert(path, into, encoder.format, quality=encoder.quality, operations=before)
        case _:
            raise TypeError(f"{encoder} is not about the file")
    return True


def is_noop(path: Path, header: Facts, operations: Sequence[Operation]) -> bool:
    """Tell, by the header alone, whether operations would leave a file as it is."""
    if not operations:
        return True
    if header.orientation != 1 or any(operation.changes(header) for operation in operations):
        return False
    if not any(isinstance(operation, ToSrgb) for operation in operations):
        return True
    with open_image(path) as image:
        return not is_foreign(image.info.get("icc_profile"))
