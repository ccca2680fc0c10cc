"""Numbers: whether all of a load arrived, once and in order, by the numbers in its prices."""

from collections import Counter
from collections.abc import Iterable

from bench.load import stock_name


class Numbers:
    """Each stock counts from one: what is missing, twice or late is known exactly."""

    def __init__(self) -> None:
        self._last: Counter[str] = Counter()
        self._holes: set[tuple[str, int]] = set()
        self.seen = self.twice = self.late = 0

    def see(self, ticks: Iterable[tuple[str, int]]) -> None:
        """Stock name and number, in the order of arrival."""
        last = self._last
        for stock, number in ticks:
            self.seen += 1
            if number == last[stock] + 1:
                last[stock] = number
            elif number > last[stock]:
                self._holes.update((stock, each) for each in range(last[stock] + 1, number))
                last[stock] = number
            elif (stock, number) in self._holes:
                self._holes.remove((stock, number))
                self.late += 1
            else:
                self.twice += 1

    def missing(self, count: int, stocks: int) -> int:
        """Of a load of `count` messages."""
        due = [divmod(count + stocks - 1 - stock, stocks)[0] for stock in range(stocks)]
        tails = sum(max(0, n - self._last[stock_name(i)]) for i, n in enumerate(due))
        return len(self._holes) + tails


def said(missing: int, twice: int, late: int) -> list[str]:
    """What is wrong, in words; nothing if nothing is."""
    counts = {"missing": missing, "there twice": twice, "out of order": late}
    return [f"{count:,} {what}" for what, count in counts.items() if count]
