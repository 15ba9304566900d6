"""The lock of a state in a folder, when somebody tidies it away under a run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CUT, OpenVendor, Work

ITEMS = 4


@pytest.mark.parametrize(
    "tidy",
    [
        lambda state: (state / "lease").unlink(),
        lambda state: ((state / "lease").unlink(), (state / "lease").write_text("{}")),
        lambda state: (state / "lease").rename(state / "lease.old"),
    ],
)
def test_a_run_whose_lock_is_tidied_away_ends_with_7_before_its_next_call_and_keeps_what_it_bought(
    tmp_path: Path, open_vendor: OpenVendor, tidy: Callable[[Path], object]
) -> None:
    work = Work(tmp_path / "work", open_vendor(latency=1.5))
    work.draw(*(f"{number}.jpg" for number in range(ITEMS)))
    work.write(CUT, state="memory", run={"concurrency": 1})
    first = work.start()
    work.vendor.until(lambda: len(work.vendor.paid()) == 1)
    first.send_signal(signal.SIGSTOP)  # however slow this machine is, the first run lives when the second starts
    tidy(work.root / "memory")
    second = work.run()
    first.send_signal(signal.SIGCONT)
    assert second.code == 7, second.text
    assert "another run holds" in second.err
    _, err = first.communicate(timeout=30)
    assert first.returncode == 7, err
    assert "removed or replaced" in err
    assert "Traceback" not in err
    assert len(work.vendor.paid()) == 1
    assert len(work.results()) == 1
    again = work.run()
    assert again.code == 0, again.text
    assert len(work.vendor.paid()) == ITEMS
