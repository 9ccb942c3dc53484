"""How far a file is on its way to being a document."""

from collections.abc import Sequence

from ateneo.ports import TokenCounter


class Progress:
    """What an ingestion tells, from the event loop but for `chunking`, which comes from a thread. This one tells
    nobody."""

    def reading(self) -> None:
        """The file is being read."""

    def chunking(self) -> None:
        """Its text is being cut."""

    def embedding(self, done: int, chunks: int) -> None:
        """So many of its chunks have their vectors."""

    def storing(self) -> None:
        """From here on it is too late to cancel it."""


SILENT = Progress()


class Told:
    """A token counter that tells when it is asked first: that is where cutting begins."""

    def __init__(self, counter: TokenCounter, progress: Progress) -> None:
        self._counter, self._progress = counter, progress
        self._began = False

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not self._began:
            self._began = True
            self._progress.chunking()
        return self._counter.count_tokens(texts)
