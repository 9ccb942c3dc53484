"""Where something stands on a page."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in points (1/72 inch), from the page's lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def is_on_line_of(self, other: Self) -> bool:
        """Whether the other one goes on to the right of this one, in the same line."""
        size = max(self.top - self.bottom, other.top - other.bottom)
        return self.is_beside(other) and self.left <= other.left < self.right + 3 * size

    def is_beside(self, other: Self) -> bool:
        """Whether both have a height in common."""
        return other.bottom < self.top and other.top > self.bottom

    def joined(self, other: Self) -> Self:
        return type(self)(
            min(self.left, other.left),
            min(self.bottom, other.bottom),
            max(self.right, other.right),
            max(self.top, other.top),
        )


@dataclass(frozen=True, slots=True)
class MarkedPage:
    """What of a quote stands on a page: its number from 1, its size in points, a box for each line or part of one."""

    page: int
    width: float
    height: float
    boxes: tuple[Box, ...]
