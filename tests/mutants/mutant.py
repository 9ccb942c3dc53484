"""One guard switched off: which piece of which file is replaced by what."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ateneo"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`kind`: what sort of guard it is; `path`: below src/ateneo; `place`: the function that it stands in."""

    kind: str
    path: str
    place: str
    start: int
    end: int
    text: str
    """What stands there: `source[start:end]`."""
    by: str
    """What stands there instead."""
    number: int = 1
    """Which one it is of those in its function that say the same."""

    @property
    def name(self) -> str:
        """The same as long as the guard is, wherever in its function it stands."""
        again = f" #{self.number}" if self.number > 1 else ""
        return f"{self.kind} {self.path} {self.place}: {' '.join(self.text.split())}{again}"

    def applied(self, source: str) -> str:
        assert source[self.start : self.end] == self.text, self.name
        return source[: self.start] + self.by + source[self.end :]


def numbered(found: Iterable[Mutant]) -> Iterator[Mutant]:
    """Those that differ, in the order of the source; names are unique."""
    seen: Counter[str] = Counter()
    for one in sorted(set(found), key=lambda one: (one.path, one.start, one.end, one.by)):
        seen[one.name] += 1
        yield replace(one, number=seen[one.name])
