"""Every error has an exit code, a place in the order of precedence, and comes out of the command as text."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest

import venice_batch
from venice_batch import errors
from venice_batch.cli import run
from venice_batch.errors import (
    PRECEDENCE,
    Exit,
    Interrupted,
    ItemError,
    JobError,
    Problem,
    ResultLost,
    VeniceBatchError,
)
from venice_batch.venice import CallFailed

#: Classes whose constructor takes more than a message.
_OWN_WAY: dict[type[VeniceBatchError], Callable[[], VeniceBatchError]] = {
    JobError: lambda: JobError([Problem("job.yaml", 3, 7, "no such step", "write edit")]),
    ItemError: lambda: ItemError("broken", "it is broken", remedy="send another one"),
    ResultLost: lambda: ResultLost("result-gone", "it is gone", key="ab", remedy="restore it"),
    CallFailed: lambda: CallFailed("key-refused", status=401),
}


def _subclasses(kind: type[VeniceBatchError]) -> Iterator[type[VeniceBatchError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _subclasses(below)


def _all_errors() -> list[type[VeniceBatchError]]:
    # Errors are also defined beside the code that raises them: import everything, so that none is missed.
    for module in pkgutil.walk_packages(venice_batch.__path__, "venice_batch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return sorted(set(_subclasses(VeniceBatchError)), key=lambda kind: kind.__name__)


def _made(kind: type[VeniceBatchError]) -> VeniceBatchError:
    if kind in _OWN_WAY:
        return _OWN_WAY[kind]()
    try:
        return kind("something went wrong", remedy="do it otherwise")
    except TypeError:
        return kind()  # type: ignore[call-arg]  # those that always say the same


def _told(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    @click.command()
    def command() -> None:
        raise error

    code = run(command, [])
    out, err = capsys.readouterr()
    return code, out, err


ALL = _all_errors()


def test_the_tree_is_whole() -> None:
    assert {kind.__name__ for kind in ALL} >= {
        "UsageError", "JobError", "SourceError", "OutputError", "CatalogueError", "StateTooNew", "KeyRefused",
        "MoneyError", "Unavailable", "Locked", "Interrupted", "ItemError", "CallFailed", "Cancelled",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_of_its_own_kind(kind: type[VeniceBatchError]) -> None:
    assert isinstance(kind.exit_code, Exit)
    assert kind.exit_code is not Exit.DONE
    if kind not in {VeniceBatchError, CallFailed}:
        assert kind.exit_code is not Exit.BUG


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_comes_out_as_text_with_its_remedy_and_code(
    kind: type[VeniceBatchError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = _made(kind)
    code, out, err = _told(error, capsys)
    assert code == error.exit_code
    assert out == ""
    assert f"error: {error.message.splitlines()[0]}" in err
    assert error.remedy in err
    assert "Traceback" not in err


def test_precedence_names_every_code_that_a_run_can_end_with() -> None:
    assert set(PRECEDENCE) == set(Exit)
    assert len(PRECEDENCE) == len(set(PRECEDENCE))


def test_precedence_is_money_then_key_then_outage_then_usage_then_items() -> None:
    order = [Exit.MONEY, Exit.KEY, Exit.UNAVAILABLE, Exit.USAGE, Exit.ITEMS_FAILED, Exit.DONE]
    assert [code for code in PRECEDENCE if code in order] == order
    assert set(PRECEDENCE[:2]) == {Exit.INTERRUPTED, Exit.TERMINATED}


def test_a_job_error_tells_every_problem_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    error = JobError([Problem("a.yaml", 1, 2, "this", "that"), Problem("a.yaml", 9, 4, "other")])
    code, _, err = _told(error, capsys)
    assert code == Exit.USAGE
    assert err.splitlines() == ["error: a.yaml:1:2: this; that", "error: a.yaml:9:4: other"]


def test_a_hostile_message_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = _told(errors.SourceError("bad \x1b[2Jname\u202e", remedy="rename\x07 it"), capsys)
    assert not set(err) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[2Jname" in err


def test_the_two_signals_have_their_own_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert _told(Interrupted("stop"), capsys)[0] == 130
    assert _told(Interrupted("stop", terminated=True), capsys)[0] == 143
    assert _told(KeyboardInterrupt(), capsys)[0] == 130
    assert _told(click.Abort(), capsys)[0] == 130


def test_a_mistake_on_the_command_line_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _told(click.UsageError("no such option: --foo"), capsys)
    assert (code, out) == (Exit.USAGE, "")
    assert "no such option: --foo" in err


def test_what_is_not_foreseen_is_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        _told(ZeroDivisionError(), capsys)


def test_importing_the_errors_is_light() -> None:
    heavy = "PIL httpx2 pydantic starlette uvicorn sqlite3 click yaml tqdm tenacity"
    code = f"import sys, venice_batch.errors; print(sorted(set(sys.modules) & set({heavy.split()!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=errors_root())
    assert done.stdout.strip() == "[]"


def errors_root() -> str:
    """Return the folder that holds the package."""
    return str(next(iter(venice_batch.__path__)).rsplit("/", 1)[0])
