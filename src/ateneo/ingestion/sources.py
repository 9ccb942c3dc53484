"""Files of folders: which source each belongs to, and which of the company's documents it is.

A source is a folder, by its name. A file is the document of its path below the source's folder; where the same file was
read as part of another source before (a folder above, or itself), it stays that document.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ateneo.db.identity import ReadFile
from ateneo.i18n import tr
from ateneo.types import Origin


@dataclass(frozen=True, slots=True)
class Source:
    """A folder, and its name in the database. `note`: what the user should know of the name."""

    name: str
    folder: Path
    note: str | None = None


@dataclass(slots=True)
class Sources:
    """What a company has of folders, and what of it this machine's folders are."""

    read: Sequence[ReadFile]
    given: str | None = None
    """The name that the user gave to all folders that are read now."""
    _folders: dict[str, str] = field(default_factory=dict)
    _files: dict[str, Origin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.read:
            self._folders[one.origin] = one.folder
            self._files[f"{one.folder}/{one.external_id}"] = Origin(one.origin, one.external_id, one.folder)

    def of(self, folder: Path) -> Source:
        """The source that a folder (an absolute path) is: the one that it was, else one by its own name, longer where
        another folder has that."""
        if self.given is not None:
            return self._named(self.given, folder)
        known = [name for name, place in self._folders.items() if place == text(folder)]
        if known:
            return Source(known[-1], folder)
        names = _names(folder)
        free = next((name for name in names if not self._is_elsewhere(name, folder)), names[-1])
        taken = names[0]
        if free != taken:
            note = tr(
                f"La fuente «{taken}» es otra carpeta ({self._folders[taken]}): {folder} queda como «{free}»; "
                "otro nombre: --source.",
                f"The source “{taken}” is another folder ({self._folders[taken]}): {folder} becomes “{free}”; "
                "another name: --source.",
            )
            self._folders[free] = text(folder)
            return Source(free, folder, note)
        return self._named(free, folder)

    def _named(self, name: str, folder: Path) -> Source:
        before = self._folders.get(name, text(folder))
        self._folders[name] = text(folder)
        if before == text(folder):
            return Source(name, folder)
        note = tr(
            f"La fuente «{name}» estaba en {before} y ahora se lee de {folder}; si es otra: --source OTRO_NOMBRE.",
            f"The source “{name}” was at {before} and is now read from {folder}; if it is another: --source NAME.",
        )
        return Source(name, folder, note)

    def _is_elsewhere(self, name: str, folder: Path) -> bool:
        """Whether the name is a folder's that still stands here, and is not this one."""
        place = self._folders.get(name)
        return place is not None and place != text(folder) and Path(place).is_dir()

    def origin(self, source: Source, file: Path) -> Origin:
        """Who the file of the source is; `file` is below the source's folder."""
        below = text(file.relative_to(source.folder))
        known = self._files.get(f"{text(source.folder)}/{below}")
        if known is not None and self.given in (None, known.source):
            return known
        return Origin(source.name, below, text(source.folder))

    def gone(self, source: Source, there: Iterable[Path]) -> list[ReadFile]:
        """The source's documents whose files are not there any more; `there`: some that are, for names that are not
        their bytes (see `text`)."""
        listed = {text(one.relative_to(source.folder)) for one in there}
        own = [one for one in self.read if one.origin == source.name and one.external_id not in listed]
        return [one for one in own if _is_gone(source.folder / one.external_id)]


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it may not be looked at: who knows
        return False
    return False


def _names(folder: Path) -> list[str]:
    """Its own name, then with the folders above it, to the whole path."""
    parts = [text(Path(part)) for part in folder.parts[1:]]
    return ["/".join(parts[-n:]) for n in range(1, len(parts) + 1)] or ["/"]


def text(path: Path) -> str:
    """A path as text that PostgreSQL can store; two paths are never one text, whatever bytes they have."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
