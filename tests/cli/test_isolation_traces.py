"""A company's words stay in the database: a command leaves nothing of them on the disk of whoever runs it."""

from pathlib import Path

from tests.cli.run import ateneo

CANARY = "zafirocanario7391"


def test_nothing_is_left_on_the_disk(database_url: str, tmp_path: Path) -> None:
    home = tmp_path / "casa"
    own = {name: str(home / name.lower()) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    for folder in own.values():
        Path(folder).mkdir(parents=True)
    page = tmp_path / "manual.html"
    page.write_text(f"<html><body><h1>Manual</h1><p>El precio {CANARY} es de florines.</p></body></html>")
    for command in (
        ["ingest", str(page), "-e", "acme"],
        ["search", f"precio {CANARY}", "-e", "acme"],
        ["ask", f"¿Cuál es el precio {CANARY}?", "-e", "acme", "--keep"],
    ):
        done = ateneo(*command, url=database_url, **own)
        assert done.returncode == 0, done.stderr
    assert CANARY in done.stdout
    left = [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert not left
