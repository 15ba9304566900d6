"""`gc` over many nights with the installed command: what live pictures stand on stays, whoever bought it, and when."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.e2e.conftest import CUT, ENLARGE, Work

DAY = 86_400


def freed(work: Work, older_than: str = "0s", *options: str) -> dict[str, Any]:
    """Look, then free, and see that both said the same."""
    shown = work.asked("gc", "--older-than", older_than, *options)
    done: dict[str, Any] = work.asked("gc", "--older-than", older_than, "--yes", *options)
    assert {**shown, "freed": done["freed"], "dry_run": False} == done
    return done


def buys_nothing_again(work: Work) -> None:
    """Delete every finished file and see that all are made again without a call."""
    outputs, bought = work.outputs(), len(work.vendor.paid())
    for name in outputs:
        (work.finished / name).unlink()
    assert work.asked("plan")["cost"] == {"low": "0.00", "high": "0.00"}
    assert work.run().code == 0
    assert work.outputs() == outputs
    assert len(work.vendor.paid()) == bought


def renamed(work: Work) -> None:
    (work.photos / "a.jpg").rename(work.photos / "b.jpg")


def moved(work: Work) -> None:
    (work.photos / "deep").mkdir()
    (work.photos / "a.jpg").rename(work.photos / "deep" / "a.jpg")


def copied(work: Work) -> None:
    shutil.copyfile(work.photos / "a.jpg", work.photos / "b.jpg")


@pytest.mark.parametrize("change", [renamed, moved, copied])
def test_what_was_bought_under_another_name_stays_and_is_planned_to_the_cent(work: Work, change: Any) -> None:
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    assert work.run().code == 0
    change(work)
    assert work.run().code == 0
    work.take("a.jpg", (300, 260))
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 4
    assert freed(work)["results"] == 0
    buys_nothing_again(work)
    work.write(CUT, {"upscale": {"scale": 4}})
    before = work.vendor.billed()
    assert work.asked("plan")["cost"] == {"low": "0.16", "high": "0.16"}
    assert work.run().code == 0
    assert f"{work.vendor.billed() - before:.2f}" == "0.16"


def test_two_pictures_that_were_alike_from_the_start_keep_their_result(work: Work) -> None:
    work.draw("a.jpg")
    copied(work)
    work.write(CUT)
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 1
    (work.photos / "a.jpg").unlink()
    assert work.run().code == 0
    assert freed(work)["results"] == 0
    buys_nothing_again(work)
