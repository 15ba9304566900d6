"""Checks of the API: the way to it, the clock, the key, the money, and the models of a job. All of it is free."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial

from venice_batch.errors import CatalogueError, Exit
from venice_batch.plan.model import cents
from venice_batch.plan.pipeline import Pipeline
from venice_batch.run.doctor.checks import Check, Finding
from venice_batch.venice import Account, Api, Breaker, Cancel, Catalogue, Client, Gate, Lanes
from venice_batch.venice.account import RateLimits
from venice_batch.venice.connectivity import addresses, handshake, ping, proxy

_SECONDS = 10.0
#: Seconds of difference at which a signature or a day's budget may go wrong, and at which S3 refuses everything.
_SKEWED, _REFUSED = 30.0, 600.0
_SLOW = 3.0
_SOON = dt.timedelta(days=14)


def checks(api: Api, pipeline: Pipeline | None) -> list[Check]:
    """Return the checks of one API; those that need a key only where there is one."""
    found = [Check("network", partial(_network, api)), Check("API", partial(_ping, api))]
    if api.key is not None:
        found.append(Check("key", partial(_key, api), seconds=2 * _SECONDS))
    if pipeline is not None:
        found.append(Check("models", partial(_models, api, pipeline), seconds=2 * _SECONDS))
    return found


def _network(api: Api) -> Iterator[Finding]:
    proxied = proxy(api)
    if proxied:
        yield Finding("network", "ok", f"through the proxy {proxied}, which looks up names by itself")
        return
    yield Finding("network", "ok", f"{api.host}: {', '.join(addresses(api)[:4])}")
    version = handshake(api, _SECONDS)
    yield Finding("network", "ok", f"{version}, certificate trusted" if version else "connected, without TLS")


def _ping(api: Api) -> Iterator[Finding]:
    greeting = ping(api, _SECONDS)
    slow = greeting.seconds > _SLOW
    remedy = "a slow network makes every call slower; see to it" if slow else ""
    yield Finding("API", "warn" if slow else "ok", f"answered in {greeting.seconds * 1000:.0f} ms", remedy)
    if greeting.skew is None:
        yield Finding("clock", "ok", "not compared: the API tells no time")
        return
    off = abs(greeting.skew)
    where = "ahead of" if greeting.skew > 0 else "behind"
    text = f"{off:.0f} s {where} the API's" if off > 1 else "in sync with the API"
    if off < _SKEWED:
        yield Finding("clock", "ok", text)
    else:
        bad = off >= _REFUSED
        remedy = "set this machine's clock (NTP): S3 refuses what is 15 minutes off, and days of a budget begin wrongly"
        yield Finding("clock", "bad" if bad else "warn", text, remedy, Exit.UNAVAILABLE if bad else Exit.DONE)


def _client(api: Api) -> Client:
    """Return a client that tries once: a check reports the first failure."""
    cancel = Cancel()
    return Client(
        api,
        gate=Gate(cancel),
        lanes=Lanes({}, cancel=cancel),
        breaker=Breaker(cancel=cancel),
        cancel=cancel,
        attempts=1,
    )


def _key(api: Api) -> Iterator[Finding]:
    with _client(api) as client:
        limits = client.rate_limits()
        yield Finding("key", "ok", "accepted; " + ("ADMIN" if api.is_admin else "inference, enough for every run"))
        yield from _expiry(limits)
        yield from _money(limits)
        if api.is_admin:
            client.billing_balance()
            yield Finding("key", "ok", "may read the account's books (reconcile)")


def _expiry(limits: RateLimits) -> Iterator[Finding]:
    end = limits.key_expiration
    if end is None:
        return
    left = (end if end.tzinfo else end.replace(tzinfo=dt.UTC)) - dt.datetime.now(dt.UTC)
    soon = left < _SOON
    remedy = "make a new key at https://venice.ai/settings/api" if soon else ""
    yield Finding("key", "warn" if soon else "ok", f"ends at {end.isoformat()}", remedy)


def _money(limits: RateLimits) -> Iterator[Finding]:
    account = Account.of(limits)
    held = ", ".join(f"{cents(amount)} {currency}" for currency, amount in account.balances.items()) or "none"
    if not account.permitted:
        remedy = "add credits, or raise the limits of the key, at https://venice.ai/settings/api"
        yield Finding("money", "bad", f"the API admits no paid call (balance: {held})", remedy, Exit.MONEY)
    elif account.charged and not any(amount > 0 for amount in account.balances.values()):
        yield Finding("money", "bad", f"balance: {held}", "add credits at https://venice.ai/settings/api", Exit.MONEY)
    else:
        yield Finding("money", "ok", f"balance: {held}")


def _models(api: Api, pipeline: Pipeline) -> Iterator[Finding]:
    if not pipeline.chain.paid:
        yield Finding("models", "ok", "the job has no paid step")
        return
    with _client(api) as client:
        catalogue = Catalogue.fetch(client)
    used: dict[str, None] = {}
    for step in pipeline.chain.paid:
        try:
            used[step.lane(catalogue)] = None
        except CatalogueError as error:
            yield Finding("models", "bad", f"{step.id}: {error.message}", error.remedy, Exit.USAGE)
    for model in used:
        yield from _model(catalogue, model)
    # Raises with the place in the job file: parameters, and models that are gone.
    pipeline.check(catalogue)


def _model(catalogue: Catalogue, name: str) -> Iterator[Finding]:
    model = catalogue.models.get(name)
    if model is None or model.spec.offline:
        return  # what `check` says of it stands in the job file
    going = model.spec.deprecation
    if going is None:
        yield Finding("models", "ok", f"{name} is on offer")
        return
    day = f" on {going.removed_on()}" if going.removed_on() else ""
    remedy = f"write {going.replacement} in good time" if going.replacement else "see `venice-batch models`"
    yield Finding("models", "warn", f"{name} is to be retired{day}", remedy)
