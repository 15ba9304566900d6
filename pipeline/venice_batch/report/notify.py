"""Who is told of a run and when: webhook, pings, and the figures for Prometheus. Nothing here can fail a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from venice_batch.errors import Exit
from venice_batch.job.notify import Address, Notify
from venice_batch.report import metrics
from venice_batch.report.chat_payload import letter
from venice_batch.report.delivery import Deliver, Message, Patience, deliver
from venice_batch.report.metrics import Figures
from venice_batch.report.run_result import RunResult, outcome_text

_AT_THE_END = Patience()
_NO_FIGURES = Figures()
#: After a signal somebody counts the seconds to a SIGKILL, and calls in flight have had theirs.
_IN_A_HURRY = Patience(seconds=3.0, tries=1)
#: A start is told before any money is spent; a dead service must not hold the run up for long.
_AT_THE_START = Patience(seconds=6.0, tries=2)


class Notifier:
    """Tells of one run. Every method returns a line for stderr for each that could not be told, and raises nothing."""

    def __init__(
        self,
        notify: Notify,
        job: str,
        *,
        trial: bool = False,
        patience: Patience = _AT_THE_END,
        send: Deliver = deliver,
    ) -> None:
        """Get ready.

        Args:
            notify: whom to tell.
            job: the job's name.
            trial: the run is on the bundled emulator: the webhook is told so, pings and figures are left alone, since
                they would say that the real work was done.
            patience: how long to try at the end of a run.
            send: sends the messages.

        Raises:
            UsageError: figures are asked for, and the package that writes them is not installed.
        """
        self._notify = notify
        self._job = job
        self._trial = trial
        self._patience = patience
        self._send = send
        self._told_of_waiting = False
        self._began = False
        if self.wants_figures:
            metrics.require()

    @property
    def wants_figures(self) -> bool:
        """Whether `ended` has a use for figures, which take a walk over the run's calls."""
        wanted = self._notify.metrics
        return not self._trial and (wanted.textfile is not None or wanted.pushgateway is not None)

    def started(self) -> list[str]:
        """Tell that the run begins: to be called once, when the lease is held and before anything is spent."""
        self._began = True
        ping = self._notify.ping
        if self._trial:
            return []
        if ping.start is not None:
            return self._send([Message("ping", ping.start, "GET")], _AT_THE_START)
        return [] if ping.url is None else self._send([Message("ping", ping.url.below("start"))], _AT_THE_START)

    def waiting(self, outcome: RunResult) -> list[str]:
        """Tell that the run waits for the balance, the first time that it does."""
        if self._told_of_waiting or self._notify.webhook is None or "money" not in self._notify.on:
            return []
        self._told_of_waiting = True
        return self._send([self._letter(self._notify.webhook, outcome)], self._patience)

    def ended(self, outcome: RunResult, figures: Figures = _NO_FIGURES) -> list[str]:
        """Tell how the run ended, whether it began or not.

        A run that found the job locked (exit code 7 before `started`) tells nobody: the one that holds it tells its own
        end, and "failed" or new figures would be said of its work. One that lost the job on its way did fail. Nor is
        there anything to tell of a Ctrl-C before the begin, such as at the question whether to spend.
        """
        if outcome.exit_code in {Exit.LOCKED, Exit.INTERRUPTED} and not self._began:
            return []
        hurried = outcome.exit_code in {Exit.INTERRUPTED, Exit.TERMINATED}
        messages = [*self._letters(outcome), *self._pings(outcome)]
        complaints = []
        if self.wants_figures:
            complaints += self._write(outcome, figures)
            messages += self._pushes(outcome, figures)
        return complaints + self._send(messages, _IN_A_HURRY if hurried else self._patience)

    def _letters(self, outcome: RunResult) -> list[Message]:
        webhook = self._notify.webhook
        return [] if webhook is None or outcome.event not in self._notify.on else [self._letter(webhook, outcome)]

    def _letter(self, webhook: Address, outcome: RunResult) -> Message:
        body = letter(webhook, outcome_text(outcome, trial=self._trial))
        return Message("webhook", webhook, body=json.dumps(body).encode())

    def _pings(self, outcome: RunResult) -> list[Message]:
        if self._trial:
            return []
        ping, good = self._notify.ping, outcome.exit_code == Exit.DONE
        own = ping.success if good else ping.failure
        if own is not None:
            return [Message("ping", own, "GET")]
        if ping.url is None:
            return []
        # healthchecks keeps the body of a ping and shows it beside the event.
        text = outcome_text(outcome).encode()
        return [Message("ping", ping.url if good else ping.url.below("fail"), body=text, content_type="text/plain")]

    def _write(self, outcome: RunResult, figures: Figures) -> list[str]:
        wanted = self._notify.metrics
        if wanted.textfile is None:
            return []
        try:
            metrics.write_textfile(wanted.textfile, outcome, figures, dict(wanted.labels))
        except OSError as error:
            return [f"metrics: cannot write {wanted.textfile}: {error.strerror}"]
        return []

    def _pushes(self, outcome: RunResult, figures: Figures) -> list[Message]:
        wanted = self._notify.metrics
        if wanted.pushgateway is None:
            return []
        group = {"job": "venice-batch", "batch": self._job, **dict(wanted.labels)}
        # POST, where PUT would empty the group first: the time of the last success outlives a run that failed.
        text = metrics.render(outcome, figures, labels={}).encode()
        to = wanted.pushgateway.below(*_group_path(group))
        return [Message("push gateway", to, body=text, content_type=metrics.CONTENT_TYPE)]


def _group_path(group: Mapping[str, str]) -> list[str]:
    """Return the path of a push gateway's group; the job comes first.

    Source: the push gateway's README: a value with a slash goes in URL-safe base64, marked at its label's name.
    """
    path = ["metrics"]
    for name in ("job", *(name for name in group if name != "job")):
        value = group[name]
        if "/" in value:
            path += [f"{name}@base64", base64.urlsafe_b64encode(value.encode()).decode()]
        else:
            path += [name, quote(value, safe="")]
    return path
