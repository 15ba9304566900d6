"""`gc` over some nights with the installed command: what live pictures stand on stays, whoever bought it."""

from __future__ import annotations

from typing import Any

from tests.e2e.conftest import CUT, ENLARGE, Work


def freed(work: Work) -> dict[str, Any]:
    """Look, then free whatever can go, and see that both said the same."""
    shown = work.asked("gc", "--older-than", "0s")
    assert (shown["dry_run"], shown["freed"]) == (True, False)
    done: dict[str, Any] = work.asked("gc", "--older-than", "0s", "--yes")
    assert done == {**shown, "dry_run": False, "freed": done["results"] > 0}
    return done


def test_a_renamed_picture_keeps_what_it_bought_and_is_planned_to_the_cent(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    assert work.run().code == 0
    (work.photos / "a.jpg").rename(work.photos / "b.jpg")
    assert work.run().code == 0
    work.take("a.jpg", (300, 260))
    assert work.run().code == 0
    assert (freed(work)["results"], len(work.results())) == (0, 4)
    assert work.venice("gc", work.job, "--older-than", "0s", "--yes").out.startswith("nothing to free\nkept: 4 ")
    outputs = work.outputs()
    for name in outputs:
        (work.finished / name).unlink()
    assert work.run().code == 0
    assert (work.outputs(), len(work.vendor.paid())) == (outputs, 4)
    work.write(CUT, {"upscale": {"scale": 4}})
    assert work.asked("plan")["cost"] == {"low": "0.16", "high": "0.16"}
    before = work.vendor.billed()
    assert work.run().code == 0
    assert f"{work.vendor.billed() - before:.2f}" == "0.16"
