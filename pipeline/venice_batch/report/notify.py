"""Notifications of a run: webhook, pings, and metrics for Prometheus. Nothing here can fail a run."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from venice_batch.errors import Exit
from venice_batch.job.notify import Address, Notify
from venice_batch.report import metrics
from venice_batch.report.chat_payload import chat_payload
from venice_batch.report.delivery import Deliver, DeliveryLimits, Message, deliver
from venice_batch.report.metrics import RunMetrics
from venice_batch.report.run_result import RunResult, result_text

_AT_THE_END = DeliveryLimits()
_NO_METRICS = RunMetrics()
#: After a signal a SIGKILL may follow soon, and calls in flight have had their time already.
_INTERRUPTED = DeliveryLimits(seconds=3.0, tries=1)
#: A start is announced before any money is spent; a dead service must not hold the run up for long.
_AT_THE_START = DeliveryLimits(seconds=6.0, tries=2)


class Notifier:
    """Sends the notifications of one run. Every method returns a line for each that failed, and raises nothing."""

    def __init__(
        self,
        notify: Notify,
        job: str,
        *,
        trial: bool = False,
        limits: DeliveryLimits = _AT_THE_END,
        send: Deliver = deliver,
    ) -> None:
        """Get ready.

        Args:
            notify: whom to notify of what.
            job: the job's name.
            trial: the run is on the bundled emulator: the webhook says so; pings and metrics are left out, since they
                would say that the real work was done.
            limits: how long to try at the end of a run.
            send: sends the messages.

        Raises:
            UsageError: metrics are asked for, and the package that writes them is not installed.
        """
        self._notify = notify
        self._job = job
        self._trial = trial
        self._limits = limits
        self._send = send
        self._sent_waiting = False
        self._began = False
        if self.wants_metrics:
            metrics.require()

    @property
    def wants_metrics(self) -> bool:
        """Whether `ended` has a use for metrics, which take a walk over the run's calls."""
        wanted = self._notify.metrics
        return not self._trial and (wanted.textfile is not None or wanted.pushgateway is not None)

    def started(self) -> list[str]:
        """Announce the start: to be called once, when the lease is held and before anything is spent."""
        self._began = True
        ping = self._notify.ping
        if self._trial:
            return []
        if ping.start is not None:
            return self._send([Message("ping", ping.start, "GET")], _AT_THE_START)
        return [] if ping.url is None else self._send([Message("ping", ping.url.below("start"))], _AT_THE_START)

    def waiting(self, result: RunResult) -> list[str]:
        """Announce that the run waits for the balance, the first time that it does."""
        if self._sent_waiting or self._notify.webhook is None or "money" not in self._notify.on:
            return []
        self._sent_waiting = True
        return self._send([self._webhook(self._notify.webhook, result)], self._limits)

    def ended(self, result: RunResult, found: RunMetrics = _NO_METRICS) -> list[str]:
        """Announce how the run ended, whether it began or not.

        Of a run that found the job locked (exit code 7 before `started`) the webhook alone is told: the one that holds
        it announces its own end, and a failed ping or new metrics would be about its work. One that lost the job on its
        way did fail. A Ctrl-C before the start is not announced, such as at the question whether to spend.
        """
        if not self._began and result.exit_code == Exit.INTERRUPTED:
            return []
        if not self._began and result.exit_code == Exit.LOCKED:
            return self._send(list(self._webhooks(result)), self._limits)
        interrupted = result.exit_code in {Exit.INTERRUPTED, Exit.TERMINATED}
        messages = [*self._webhooks(result), *self._pings(result)]
        undelivered = []
        if self.wants_metrics:
            undelivered += self._write(result, found)
            messages += self._pushes(result, found)
        return undelivered + self._send(messages, _INTERRUPTED if interrupted else self._limits)

    def _webhooks(self, result: RunResult) -> list[Message]:
        webhook = self._notify.webhook
        return [] if webhook is None or result.event not in self._notify.on else [self._webhook(webhook, result)]

    def _webhook(self, webhook: Address, result: RunResult) -> Message:
        body = chat_payload(webhook, result_text(result, trial=self._trial))
        return Message("webhook", webhook, body=json.dumps(body).encode())

    def _pings(self, result: RunResult) -> list[Message]:
        if self._trial:
            return []
        ping, good = self._notify.ping, result.exit_code == Exit.DONE
        own = ping.success if good else ping.failure
        if own is not None:
            return [Message("ping", own, "GET")]
        if ping.url is None:
            return []
        # healthchecks keeps the body of a ping and shows it beside the event.
        text = result_text(result).encode()
        return [Message("ping", ping.url if good else ping.url.below("fail"), body=text, content_type="text/plain")]

    def _write(self, result: RunResult, found: RunMetrics) -> list[str]:
        wanted = self._notify.metrics
        if wanted.textfile is None:
            return []
        try:
            metrics.write_textfile(wanted.textfile, result, found, dict(wanted.labels))
        except OSError as error:
            return [f"metrics: cannot write {wanted.textfile}: {error.strerror}"]
        return []

    def _pushes(self, result: RunResult, found: RunMetrics) -> list[Message]:
        wanted = self._notify.metrics
        if wanted.pushgateway is None:
            return []
        group = {"job": "venice-batch", "batch": self._job, **dict(wanted.labels)}
        # POST, where PUT would empty the group first: the time of the last success outlives a run that failed.
        text = metrics.render(result, found, labels={}).encode()
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
