"""Numbers by chance: latencies, and counts of tokens."""

from __future__ import annotations

import math
import re
from statistics import NormalDist
from typing import Literal, Self

from msgspec import Struct

from streamer.errors import SettingsError
from streamer.tasks import YEAR

NORMAL = NormalDist()
SMALLEST = 2.0**-54
"""Stands for the variate 0, for which a normal distribution has no number."""


class Distribution(Struct, frozen=True):
    """Numbers of at least 0: ``fixed(a)``, ``uniform(a,b)``, ``lognormal(median,sigma)``, or just ``a``."""

    kind: Literal["fixed", "uniform", "lognormal"]
    a: float
    b: float = 0.0

    @classmethod
    def parse(cls, value: float | str, name: str, most: float = YEAR) -> Self:
        """From text or a number; a :class:`SettingsError` names ``name`` and the range."""
        found = re.fullmatch(r"\s*(?:([a-z]+)\(([^()]*)\)|([^()]+))\s*", str(value))
        try:
            if found is None:
                raise ValueError
            kind = found[1] or "fixed"
            numbers = [float(number) for number in (found[2] or found[3] or "").split(",")]
            a, b = (*numbers, 0.0)[:2]
            wanted = {"fixed": 1, "uniform": 2, "lognormal": 2}[kind]
            in_range = all(0 <= number <= most for number in numbers)
            if (
                len(numbers) != wanted
                or not in_range
                or (kind == "uniform" and a > b)
                or (kind == "lognormal" and b > 10)
            ):
                raise ValueError
        except (ValueError, KeyError):
            raise SettingsError(
                f"{name} is a number, fixed(a), uniform(a,b) with a <= b, or lognormal(median,sigma) with "
                f"sigma <= 10, all from 0 to {most:g}, not {value!r}."
            ) from None
        return cls(kind, a, b)  # type: ignore[arg-type]

    def quantile(self, u: float) -> float:
        """The number below which a share ``u`` (0 to 1) lies: one uniform variate makes one number."""
        if self.kind == "fixed":
            return self.a
        if self.kind == "uniform":
            return self.a + (self.b - self.a) * u
        return self.a * math.exp(self.b * NORMAL.inv_cdf(u or SMALLEST))
