"""The HTTP client of the Venice image API: it gives bytes and headers, others judge the pictures."""

from pipeline.venice.account import Account, BillingBalance
from pipeline.venice.address import OFFICIAL_URL, Api, Secret, is_loopback, is_official
from pipeline.venice.answers import Answer
from pipeline.venice.breaker import Breaker
from pipeline.venice.catalogue import Catalogue
from pipeline.venice.client import Client
from pipeline.venice.fate import CallFailed, Fate
from pipeline.venice.fields import Url
from pipeline.venice.gate import Gate
from pipeline.venice.lanes import Lanes
from pipeline.venice.waits import Cancel

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
    "Fate",
    "Gate",
    "Lanes",
    "Secret",
    "Url",
    "is_loopback",
    "is_official",
]
