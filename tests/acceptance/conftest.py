"""What the real processes of the chaos tests have, for acceptance tests that need them."""

from tests.chaos.conftest import partitions, site

__all__ = ["partitions", "site"]
