"""What becomes of the chunks of a batch, and what batches add up to."""

from dataclasses import dataclass, field

from ateneo.embedding.heartbeat import Rate


@dataclass(frozen=True, slots=True)
class FailedChunk:
    """`dead`: it is parked as a dead letter, else tried again later. `reason` may quote the text, `loggable` not."""

    chunk_id: str
    empresa_id: str
    reason: str
    dead: bool = True
    loggable: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some chunks. `copied` needed no provider; `changed`: their text was edited meanwhile, or a writer
    held their row, so that nothing was stored. `tokens` as billed."""

    processed: int = 0
    copied: int = 0
    changed: int = 0
    tokens: int = 0
    failed: tuple[FailedChunk, ...] = ()


@dataclass(slots=True)
class Totals:
    """Chunks so far. `processed`: stored, of them `copied` have a text that was embedded before, at no cost; `changed`:
    edited while they were being embedded; `failed`, of them `dead` for good. `tokens` as billed; `rate` a second."""

    processed: int = 0
    copied: int = 0
    changed: int = 0
    failed: int = 0
    dead: int = 0
    tokens: int = 0
    rate: Rate = field(default_factory=Rate)

    def add(self, batch: Batch) -> None:
        self.rate.add(batch.processed)
        self.processed += batch.processed
        self.copied += batch.copied
        self.changed += batch.changed
        self.failed += len(batch.failed)
        self.dead += sum(one.dead for one in batch.failed)
        self.tokens += batch.tokens
