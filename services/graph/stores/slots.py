"""How many statements of one tenant may run at once."""

from collections import Counter

from services.runtime.errors import ResourceExhausted


class Slots:
    """Counts what runs, by tenant. A statement holds its slot until the store has ended it, not only until its caller
    has left: so one that can't be ended harms its own tenant and nobody else."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def take(self, tenant: str) -> None:
        """Raises ResourceExhausted when the tenant has none left."""
        if self._taken[tenant] >= self._most:
            raise ResourceExhausted(
                f"{self._most} queries of this tenant are running or being ended; wait until one has ended",
                retry_after=1.0,
            )
        self._taken[tenant] += 1

    def give_back(self, tenant: str) -> None:
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
