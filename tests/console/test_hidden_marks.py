"""No page of the console has what turns the order of a text, or what no screen shows."""

from urllib.parse import quote

import httpx
from tests.api.endpoint_matrix import CONTROLS, EVIL
from tests.console.conftest import Site, browser_of


def test_what_others_named(site: Site) -> None:
    text = f"# Manual {EVIL}\n\nEl telar {EVIL} se limpia con alcohol cada lunes.\n".encode()
    headers = {"X-API-Key": site.acme}
    stored = httpx.post(
        f"{site.url}/documents",
        headers=headers,
        files={"file": ("telar.md", text)},
        data={"title": f"Telar {EVIL}"},
        timeout=60,
    )
    assert stored.status_code == 201 and "\u202e" in stored.json()["title"]  # the stored text is as it came
    with browser_of(site, site.acme) as client:
        pages = ["/documentos", "/buscar?q=telar+alcohol", f"/buscar?q={quote(EVIL)}"]
        pages.append(f"/documentos/{stored.json()['document_id']}")
        told = [client.get(page) for page in pages]
    assert any("oser" in page.text for page in told)
    for page in told:
        assert not CONTROLS.search(page.text.replace("\r", "")), page.url
