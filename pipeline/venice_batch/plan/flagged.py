"""What becomes of an answer that is whole, but not fit to publish: a person's decision first, then the job's rule."""

from __future__ import annotations

from typing import Literal

from venice_batch.job.model import OnFlagged
from venice_batch.state import Result, State

#: released, publish: the item goes on with it · hold, fail: it ends here · retry: the answer is bought anew.
Course = Literal["released", "publish", "hold", "fail", "retry"]

#: The API's own refusal: what was sent breaks its content policy, and would break it again.
_POLICY = "blocked"


def course(found: Result, rule: OnFlagged, state: State) -> Course:
    """Return what becomes of a flagged answer.

    Nothing is bought anew that the content policy refused (it would only cost money and patience with the account), nor
    where an answer was put aside before: the second is the last, until a person rejects it.

    Args:
        found: the answer; its flags are not empty.
        rule: the job's ``run.on_flagged``.
        state: knows what was released, and what was put aside.
    """
    if state.released(found):
        return "released"
    if rule == "retry" and (_POLICY in found.flags or state.results.was_bad(found.key)):
        return "hold"
    return rule
