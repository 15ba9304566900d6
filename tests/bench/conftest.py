"""What the benchmarks share: a way to print a figure, and the emulator in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.bench.vendor import Vendor, serving

Figure = Callable[[str], None]
OpenVendor = Callable[..., Vendor]


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Figure:
    """Print one line, whether output is captured or not."""
    writer = pytestconfig.get_terminal_writer()

    def show(text: str) -> None:
        writer.line()
        writer.write(f"  {text}", bold=True, flush=True)

    return show


@pytest.fixture
def open_vendor() -> Iterator[OpenVendor]:
    """Start emulators with settings of the benchmark's own; each ends with the benchmark."""
    with ExitStack() as stack:

        def start(*, latency: float, rpm: int) -> Vendor:
            return stack.enter_context(serving(latency=latency, rpm=rpm))

        yield start
