"""A real PgBouncer in transaction mode before a server of the tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

NEEDED = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="PgBouncer is not installed (apt-get install pgbouncer)"
)


@contextmanager
def transaction_pooler(url: str, folder: Path, *, sessions: int = 2, mode: str = "transaction") -> Iterator[str]:
    """An address of `url`'s database through a pooler with so many server sessions."""
    parts = urlsplit(url)
    place = parse_qs(parts.query)["host"][0]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.chmod(0o755)
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text('"postgres" ""\n"producto" ""\n', encoding="utf-8")
    settings.write_text(
        f"[databases]\n* = host={place} port=5432\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {users}\npool_mode = {mode}\n"
        f"default_pool_size = {sessions}\nserver_round_robin = 1\nadmin_users = postgres\n",
        encoding="utf-8",
    )
    command = ["pgbouncer", str(settings)]
    if os.geteuid() == 0:  # it refuses to run as root, and the server is this user's
        command[1:1] = ["-u", "pgserver"]
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"postgresql://postgres@127.0.0.1:{port}{parts.path}"
    finally:
        process.terminate()
        process.wait(10)
