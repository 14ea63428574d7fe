"""Faults by a seed: who knows the plan knows what every call got, whichever order calls came in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from random import Random

from msgspec.structs import replace

from streamer.errors import SettingsError
from streamer.testing.servers.calls import Call
from streamer.testing.servers.faults import WELL, Fault

FATES: dict[str, Callable[[Random], Fault]] = {
    "status": lambda chance: Fault(kind="status", status=chance.choice((500, 502, 503, 529))),
    "hang": lambda _: Fault(kind="hang"),
    "rate_limit": lambda chance: Fault(kind="status", status=429, retry_after=chance.choice((0, 0.1, 0.3))),
    "malformed": lambda _: Fault(kind="malformed"),
    "truncated": lambda chance: Fault(kind=chance.choice(("cut", "truncate", "no_finish"))),
}
"""What can become of a call, by the names that shares are given for."""


class Plan:
    """A rule for a server: of all calls, ``shares`` of each fate, from 0 to 1; the others are answered well.

    Invariant: what becomes of the n-th call with a prompt depends on the seed, the prompt and n alone.
    A good answer's text is :func:`text_for` its prompt, so that a piece of it is told from all of it.
    """

    def __init__(self, shares: Mapping[str, float], seed: int = 0) -> None:
        unknown = sorted(set(shares) - set(FATES))
        if unknown:
            raise SettingsError(f"plan: there is no fate {unknown[0]!r}; there are {', '.join(FATES)}.")
        if not all(0 <= share <= 1 for share in shares.values()) or sum(shares.values()) > 1:
            raise SettingsError(f"plan: shares are from 0 to 1 and together at most 1, not {dict(shares)}.")
        self.shares = dict(shares)
        self.seed = seed
        self._calls: Counter[str] = Counter()

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Plan:
        """From ``status=0.2,hang=0.1``."""
        shares = {}
        for pair in filter(None, text.split(",")):
            name, _, share = pair.partition("=")
            try:
                shares[name] = float(share)
            except ValueError:
                raise SettingsError(f"plan: {name} is a share from 0 to 1, not {share!r}.") from None
        return cls(shares, seed)

    def fate(self, prompt: str, number: int) -> str | None:
        """What becomes of the call with this number, from 1, of all with this prompt; None is answered well."""
        return self._decided(prompt, number)[0]

    def __call__(self, call: Call) -> Fault:
        self._calls[call.prompt] += 1
        fate, chance = self._decided(call.prompt, self._calls[call.prompt])
        fault = WELL if fate is None else FATES[fate](chance)
        return replace(fault, text=text_for(call.prompt))

    def _decided(self, prompt: str, number: int) -> tuple[str | None, Random]:
        chance = Random(f"{self.seed} {number} {prompt}")
        share = chance.random()
        for fate, wanted in self.shares.items():
            share -= wanted
            if share < 0:
                return fate, chance
        return None, chance


def text_for(prompt: str) -> str:
    """The answer that this prompt has: so many words, and no other prompt's."""
    digest = sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 8 + 4 * (int(digest[0], 16) % 14), 4))
