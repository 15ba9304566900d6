"""The HTTP client of the Venice image API: it gives bytes and headers; `steps.answer_checks` checks the pictures."""

from venice_batch.venice.account import Account, BillingBalance, RateLimits
from venice_batch.venice.address import OFFICIAL_URL, Api, Secret, is_loopback, is_official
from venice_batch.venice.breaker import Breaker
from venice_batch.venice.catalogue import Catalogue
from venice_batch.venice.client import Client
from venice_batch.venice.failures import CallFailed, FailureClass
from venice_batch.venice.fields import Url
from venice_batch.venice.gate import Gate
from venice_batch.venice.lanes import Lanes
from venice_batch.venice.responses import Answer
from venice_batch.venice.waits import Cancel

__all__ = [
    "OFFICIAL_URL",
    "Account",
    "Answer",
    "Api",
    "BillingBalance",
    "Breaker",
    "CallFailed",
    "Cancel",
    "Catalogue",
    "Client",
    "FailureClass",
    "Gate",
    "Lanes",
    "RateLimits",
    "Secret",
    "Url",
    "is_loopback",
    "is_official",
]
