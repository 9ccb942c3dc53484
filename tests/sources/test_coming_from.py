"""The commands of docs/how-to/coming-from.md, on stores as the libraries made them."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ateneo, environment
from tests.providers.server import ProviderServer
from tests.sources.conftest import PAID, STORES

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "coming-from.md").read_text(encoding="utf-8")
SECTIONS = {title.lower(): text for title, text in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)}


def _commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    lines = [line.removeprefix("ateneo ") for block in blocks for line in block.splitlines()]
    return [[word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)] for line in lines]


async def test_its_python(product: asyncpg.Connection, database_url: str, provider_server: ProviderServer) -> None:
    await product.execute((STORES / "llamaindex.sql").read_text(encoding="utf-8"))
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    settings = environment(database_url, **PAID, OPENAI_BASE_URL=provider_server.url)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert await product.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 2


@pytest.mark.parametrize("store", ["langchain", "llamaindex", "supabase", "pgai", "r2r"])
async def test_the_page(
    product: asyncpg.Connection, database_url: str, provider_server: ProviderServer, store: str
) -> None:
    await product.execute((STORES / f"{store}.sql").read_text(encoding="utf-8"))
    settings = {**PAID, "OPENAI_BASE_URL": provider_server.url}
    commands = _commands(SECTIONS[store])
    assert commands
    for words in commands:
        more = ["--yes"] if words[1] == "add" else []
        done = ateneo(*words, *more, url=database_url, **settings)
        assert done.returncode == 0, done.stderr
        if more:
            assert "openai/custom" in done.stdout
            assert re.search(r"\([12] con su vector\)", done.stdout)
            assert max(map(len, done.stdout.splitlines())) <= 80
    assert await product.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 0
    shown = json.loads(ateneo("sources", "list", "--json", url=database_url, **settings).stdout)
    assert shown[0]["mapping"]["vector"]
    assert ateneo("sources", "embed", shown[0]["name"], url=database_url, **settings).returncode == 0
    assert await product.fetchval("SELECT mapping ->> 'vector' FROM ateneo.source ORDER BY name LIMIT 1") is None
