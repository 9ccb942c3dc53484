"""What came with an upload, as a job keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ateneo.db.identity import Identity
from ateneo.ingestion.upload import Upload


@dataclass(frozen=True, slots=True)
class Asked:
    """`force`: bytes that the document has already are read again."""

    identity: Identity
    title: str | None = None
    metadata: Mapping[str, Any] | None = None
    folder: str | None = None
    force: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """What `stored` made."""
        who = {name: stored.get(name) for name in ("document_id", "origin", "external_id", "name")}
        identity = Identity(**who, must_exist=bool(stored.get("must_exist")))
        return cls(
            identity, stored.get("title"), stored.get("metadata"), stored.get("folder"), bool(stored.get("force"))
        )

    def stored(self) -> dict[str, Any]:
        more = {"title": self.title, "metadata": self.metadata, "folder": self.folder, "force": self.force}
        return asdict(self.identity) | more

    def upload(self, source: str) -> Upload:
        return Upload(source, self.title, None if self.metadata is None else dict(self.metadata), self.folder)
