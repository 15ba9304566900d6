"""What an emulator is started with: keys, balances, limits, speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Literal

INFERENCE_KEY = "VENICE_INFERENCE_KEY_emulator"
ADMIN_KEY = "VENICE_ADMIN_KEY_emulator"
ADMIN_PREFIX = "VENICE_ADMIN_KEY_"


@dataclass(frozen=True, slots=True)
class Key:
    """One API key of the emulated account.

    Attributes:
        token: what follows ``Bearer``.
        admin: may read the billing endpoints.
        usd_limit: most this key may spend in USD and bundled credits together; None is no limit.
        diem_limit: most this key may spend in DIEM; None is no limit.
        private_only: hides models that are not private, and makes a call of one a 403.
        permitted: False makes every paid call a 403 and ``accessPermitted`` false.
    """

    token: str
    admin: bool = False
    usd_limit: Decimal | None = None
    diem_limit: Decimal | None = None
    private_only: bool = False
    permitted: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """How an emulator behaves.

    Attributes:
        keys: the keys that are known; the first inference and admin keys are reported by ``Running``.
        usd: USD balance; None leaves the currency out of every answer.
        diem: DIEM balance; None leaves the currency out.
        bundled: bundled credits, counted like USD; None leaves them out.
        rpm: requests per minute of every model that ``rpm_by_model`` does not name.
        rpm_by_model: requests per minute by model id.
        latency: seconds that every paid answer takes at least.
        surcharge: USD that every paid call costs on top of what the catalogue says.
        error_budget: client errors allowed within ``error_window`` seconds; one more blocks the key.
        error_window: seconds over which client errors are counted.
        blocked: seconds a key stays blocked.
        accept_any_key: take every bearer token; those with the admin prefix are admin keys.
        pictures: ``real`` draws each answer; ``canned`` repeats one picture per kind and size, for benchmarks,
            and checks only the header of an input.
        catalogue: a saved answer of ``GET /models?type=all`` that takes the place of the bundled models.
        clock: Unix time in seconds, for windows, budgets and the log.
    """

    keys: tuple[Key, ...] = (Key(INFERENCE_KEY), Key(ADMIN_KEY, admin=True))
    usd: Decimal | None = Decimal(50)
    diem: Decimal | None = Decimal(0)
    bundled: Decimal | None = None
    rpm: int = 60
    rpm_by_model: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    latency: float = 0.0
    surcharge: Decimal = Decimal(0)
    error_budget: int = 20
    error_window: float = 30.0
    blocked: float = 30.0
    accept_any_key: bool = False
    pictures: Literal["real", "canned"] = "real"
    catalogue: Path | None = None
    clock: Callable[[], float] = time.time

    def find_key(self, token: str) -> Key | None:
        """Return the key with this token, or None when it is not accepted."""
        for key in self.keys:
            if key.token == token:
                return key
        if self.accept_any_key:
            return Key(token, admin=token.startswith(ADMIN_PREFIX))
        return None
