"""Keeping house with the installed command: doctor, gc, and completion in a real shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.conftest import COMMAND, CUT, ENLARGE, Work, environment, tree


def test_the_doctor_finds_nothing_spends_nothing_and_then_says_what_is_wrong(work: Work) -> None:
    work.draw("a.jpg")
    work.write(CUT, ENLARGE)
    before = tree(work.root)
    ended = work.venice("doctor", work.job, "--json")
    assert ended.code == 0, ended.text
    assert {each["check"] for each in ended.json["findings"]} >= {
        "job", "software", "Pillow", "TMPDIR", "network", "API", "clock", "key", "money", "models", "source", "output",
        "state",
    }  # fmt: skip
    assert tree(work.root) == before
    assert work.vendor.paid() == []
    work.vendor.balance(usd="0", diem=None)
    (work.photos / "a.jpg").unlink()
    work.photos.rmdir()
    ended = work.venice("doctor", work.job)
    assert ended.code == 5, "money speaks before the missing source"
    assert "no such folder" in ended.out
    assert "  try: add credits" in ended.out


def test_gc_shows_first_deletes_when_told_and_the_finished_files_come_back_for_nothing(work: Work) -> None:
    work.draw("a.jpg", "b.jpg")
    work.write(CUT, ENLARGE)
    assert work.run().code == 0
    (work.photos / "b.jpg").unlink()
    assert work.run().code == 0
    before = tree(work.state)
    shown = work.venice("gc", work.job, "--older-than", "0s")
    assert shown.code == 0, shown.text
    assert "can be freed: 2 files" in shown.out
    assert "0.05 USD" in shown.out
    assert tree(work.state) == before
    young = work.venice("gc", work.job, "--json", "--yes")
    assert (young.json["results"], young.json["spared"], young.json["freed"]) == (0, 2, False)
    freed = work.venice("gc", work.job, "--older-than", "0s", "--yes", "--json").json
    assert (freed["freed"], freed["results"], freed["needed"], freed["usd"]) == (True, 2, 2, "0.05")
    assert len(work.results()) == 2
    bought = len(work.vendor.bought())
    (work.finished / "a.png").unlink()
    assert work.run().code == 0
    assert (work.finished / "a.png").exists()
    assert len(work.vendor.bought()) == bought


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = """
        source /dev/stdin <<< "$(venice-batch completion bash)"
        COMP_WORDS=(venice-batch gc job.yaml --old); COMP_CWORD=3; _venice_batch_completion venice-batch
        printf '%s\\n' "${COMPREPLY[@]}"
        COMP_WORDS=(venice-batch unl); COMP_CWORD=1; COMPREPLY=(); _venice_batch_completion venice-batch
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    env = environment(tmp_path / "scratch", None, {"PATH": f"{COMMAND.parent}:/usr/bin:/bin"})
    done = subprocess.run(["/bin/bash", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["--older-than", "unlock"], done.stderr


def test_gc_is_not_blind_for_a_picture_that_can_never_be_bought(work: Work) -> None:
    work.draw("a.jpg")
    (work.photos / "broken.jpg").write_bytes((work.photos / "a.jpg").read_bytes()[:500])
    work.write(CUT)
    assert work.run().code == 3
    work.write(ENLARGE)
    assert work.run().code == 3
    shown = work.venice("gc", work.job, "--older-than", "0s", "--json").json
    assert (shown["results"], shown["needed"]) == (1, 1)
