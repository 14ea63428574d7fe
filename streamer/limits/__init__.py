"""Limits: named objects, shared by all who name them."""

from streamer.limits.concurrency import Joint, Limit, limit_of
from streamer.limits.extra import ExtraCalls
from streamer.limits.holding import Hold, apart, depart, doze, enter, held, wake, within
from streamer.limits.lending import NONE, RunSlot, Tenant, tenant
from streamer.limits.places import Place, Places
from streamer.limits.waiting import Entry, Waiting

__all__ = [
    "NONE",
    "Entry",
    "ExtraCalls",
    "Hold",
    "Joint",
    "Limit",
    "Place",
    "Places",
    "RunSlot",
    "Tenant",
    "Waiting",
    "apart",
    "depart",
    "doze",
    "enter",
    "held",
    "limit_of",
    "tenant",
    "wake",
    "within",
]
