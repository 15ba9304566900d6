"""Balance, tier and rate limits of the account, as the API sends them; read leniently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pydantic import AliasChoices, Field

from venice_batch.venice.lenient import Amount, Lenient, Maybe, Named, Several

#: Requests per minute of an image model that ``rate_limits`` does not list (documented; checked 2026-10-02).
DEFAULT_RPM = 20
#: More is no limit that a lane could be paced by.
_MOST_RPM = 1_000_000


class ModelLimit(Lenient):
    """One kind of limit of one model; type RPM is requests per minute."""

    type: str = ""
    amount: Amount = Decimal(0)


class ModelLimits(Lenient):
    """The limits of one model."""

    model: str = Field(validation_alias=AliasChoices("apiModelId", "model"))
    limits: Several[ModelLimit] = Field(default=(), validation_alias=AliasChoices("rateLimits", "limits"))


class Tier(Lenient):
    """The account's tier; ``is_charged`` is False where calls cost nothing, None where the API does not say."""

    is_charged: Maybe[bool] = Field(default=None, validation_alias=AliasChoices("isCharged", "is_charged"))


class RateLimits(Lenient):
    """``GET /api_keys/rate_limits``: the pre-check, for any key.

    Attributes:
        access_permitted: the real admission test: balance, key limits, account state.
        balances: what this key may spend now, already clamped to its limits; USD, DIEM,
            BUNDLED_CREDITS, any of them absent.
        next_epoch: when DIEM is refilled.
        key_expiration: when the key ends, or None.
        notes: what could not be read, such as ``amount: NaN``.
    """

    access_permitted: bool = Field(validation_alias="accessPermitted")
    tier: Maybe[Tier] = Field(default=None, validation_alias="apiTier")
    balances: Named[Amount | None] = Field(default_factory=dict)
    next_epoch: Maybe[datetime] = Field(default=None, validation_alias="nextEpochBegins")
    key_expiration: Maybe[datetime] = Field(default=None, validation_alias="keyExpiration")
    models: Several[ModelLimits] = Field(default=(), validation_alias="rateLimits")
    notes: tuple[str, ...] = ()

    @property
    def rpm(self) -> dict[str, int]:
        """Requests per minute by model id, where the API names them."""
        return {
            model.model: int(limit.amount)
            for model in self.models
            for limit in model.limits
            if limit.type.upper() == "RPM" and 1 <= limit.amount <= _MOST_RPM
        }


class BillingBalance(Lenient):
    """``GET /billing/balance`` (ADMIN): the account without the key's limits."""

    can_consume: bool = Field(validation_alias="canConsume")
    balances: Named[Amount | None] = Field(default_factory=dict)


_CURRENCIES = {"usd": "USD", "diem": "DIEM", "bundledcredits": "BUNDLED_CREDITS", "earnedcredits": "EARNED_CREDITS"}


@dataclass(frozen=True, slots=True)
class Account:
    """One view of the account from whatever endpoints could be read.

    Attributes:
        permitted: whether paid calls are admitted at all.
        balances: by currency (USD, DIEM, BUNDLED_CREDITS, EARNED_CREDITS); absent ones are absent.
        rpm: requests per minute by model id.
        charged: False where the tier pays nothing.
        next_epoch: when DIEM is refilled, or None.
    """

    permitted: bool
    balances: Mapping[str, Decimal]
    rpm: Mapping[str, int]
    charged: bool = True
    next_epoch: datetime | None = None

    def rpm_of(self, model: str) -> int:
        """Return a model's requests per minute; 20, the documented figure for images, where the API names none."""
        return self.rpm.get(model, DEFAULT_RPM)

    @classmethod
    def of(cls, limits: RateLimits, billing: BillingBalance | None = None) -> Account:
        """Join the two endpoints: where both name a currency the smaller one counts.

        ``billing/balance`` ignores the key's own limits, so it can only lower what the key may spend
        and add nothing to it, except earned credits, which ``rate_limits`` does not list.
        """
        balances = _by_currency(limits.balances)
        permitted = limits.access_permitted
        if billing is not None:
            permitted = permitted and billing.can_consume
            for currency, amount in _by_currency(billing.balances).items():
                if currency in balances or currency == "EARNED_CREDITS":
                    balances[currency] = min(balances.get(currency, amount), amount)
        return cls(
            permitted,
            balances,
            limits.rpm,
            limits.tier is None or limits.tier.is_charged is not False,
            limits.next_epoch,
        )


def _by_currency(balances: Mapping[str, Decimal | None]) -> dict[str, Decimal]:
    return {
        _CURRENCIES.get(name.replace("_", "").lower(), name.upper()): amount
        for name, amount in balances.items()
        if amount is not None
    }
