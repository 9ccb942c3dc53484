"""Cells of OpenDocument tables that span rows: those that they cover have their text."""


class SpanningCells:
    """Of one table, from its first row to its last."""

    def __init__(self) -> None:
        self._below: dict[int, tuple[int, str]] = {}  # column -> rows that a cell still covers, and its text

    def text(self, column: int, own: str, *, covered: bool, rows: int) -> str:
        """The text of the next cell, which has `own`, is `covered` by another or not, and spans `rows`."""
        left, above = self._below.pop(column, (0, ""))
        if covered and left:
            own = own or above
            if left > 1:
                self._below[column] = (left - 1, above)
        if rows > 1:
            self._below[column] = (rows - 1, own)
        return own
