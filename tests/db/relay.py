"""A TCP port that leads to the tests' PostgreSQL, and that can be cut off: before a COMMIT, or before its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit


class Relay:
    """`away`: no connection is taken. `cut`: once, the connection that commits is lost, before that or after."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
        self._database = parts.path
        self.url = ""
        self.away = False
        self.cut: Literal["before", "after"] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Relay"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}{self._database}?sslmode=disable"
        try:
            yield self
        finally:
            server.close()
            self.drop()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.close()
            return
        back, forth = await asyncio.open_unix_connection(self._socket)
        self._writers |= {writer, forth}
        muted = asyncio.Event()
        for work in (self._ask(reader, forth, writer, muted), self._answer(back, writer, muted)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        muted: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if b"COMMIT" in data and self.cut is not None:
                    how, self.cut = self.cut, None
                    muted.set()
                    if how == "after":
                        forth.write(data)
                        await asyncio.sleep(0.1)
                    client.close()
                    break
                forth.write(data)
        forth.close()

    async def _answer(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await back.read(65536):
                if not muted.is_set():
                    writer.write(data)
        writer.close()
