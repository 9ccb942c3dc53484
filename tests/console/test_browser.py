"""The console in a real browser: by keyboard, in both languages, without a script; nothing blocked or from outside."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from tests.console.conftest import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)")
Page = Any


@contextmanager
def tab(site: Site, **options: Any) -> Iterator[Page]:
    """A page of a browser of its own, which has complained of nothing, and asked nobody else, by its end."""
    complaints: list[str] = []

    def asked(url: str) -> None:
        if not url.startswith((site.url, "data:")):
            complaints.append(url)

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(base_url=site.url, **{"locale": "es-AR", **options}).new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        yield page
        browser.close()
    assert complaints == []


def sign_in(page: Page, key: str) -> None:
    page.goto("/")
    page.focus("#key")
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"^[^?]+/preguntar$"))


@pytest.mark.parametrize(
    ("language", "question", "send"),
    [("es-MX", "¿Cuánto pagan un feriado?", "Preguntar"), ("en-US", "¿Y vacaciones?", "Ask")],
)
def test_a_question_by_keyboard_and_the_source_of_its_answer(
    site: Site, language: str, question: str, send: str
) -> None:
    with tab(site, locale=language) as page:
        sign_in(page, site.acme)
        assert page.locator("button.send").inner_text() == send
        page.focus("#message")
        page.keyboard.type(question)
        page.keyboard.press("Enter")
        page.wait_for_url("**/preguntar/*")
        page.locator(".answer a.cite").first.click()
        quoted = page.locator(".sources details[open] mark").first.inner_text()
        assert quoted in page.locator(".answer").inner_text()


def test_a_search_changes_the_results_and_the_address(site: Site) -> None:
    with tab(site) as page:
        sign_in(page, site.acme)
        page.goto("/buscar")
        page.focus("#q")
        page.keyboard.type("feriado")
        page.keyboard.press("Enter")
        page.wait_for_selector("li.hit")
        assert "q=feriado" in page.url
        assert page.locator("li.hit mark").count()
        page.reload()
        assert page.locator("li.hit").count()


def test_files_are_loaded_each_with_its_outcome(site: Site, tmp_path: Path) -> None:
    good, bad = tmp_path / "turnos.md", tmp_path / "roto.pdf"
    good.write_text("# Turnos\n\nLos turnos se piden con dos días de anticipación.\n", encoding="utf-8")
    bad.write_bytes(b"%PDF-1.7\nno es un PDF")
    with tab(site) as page:
        sign_in(page, site.acme)
        page.goto("/documentos")
        page.set_input_files("#file", [good, bad])
        page.locator(".upload button").click()
        page.wait_for_selector("#carga .bad")
        page.locator("#carga .good a").click()
        assert "anticipación" in page.locator(".chunks").inner_text()
        page.on("dialog", lambda asked: asked.accept())
        page.locator("button.danger").click()
        page.wait_for_url("**/documentos")
        assert "Turnos" not in page.locator("#lista").inner_text()


def test_without_a_script(site: Site) -> None:
    with tab(site, java_script_enabled=False) as page:
        page.goto("/")
        page.fill("#key", site.acme)
        page.locator("form button").click()
        page.fill("#message", "¿Cuánto pagan un feriado?")
        page.locator("button.send").click()
        page.wait_for_selector(".answer a.cite")
        page.goto("/buscar?q=vacaciones")
        page.wait_for_selector("li.hit")


def test_a_session_that_ended_leads_to_the_sign_in(site: Site) -> None:
    with tab(site) as page:
        sign_in(page, site.acme)
        page.context.clear_cookies()
        page.goto("/buscar?q=feriado")
        page.focus("#key")
        page.keyboard.type(site.acme)
        page.keyboard.press("Enter")
        page.wait_for_selector("li.hit")


def test_nothing_stands_out_of_the_page(site: Site) -> None:
    with tab(site) as page:
        sign_in(page, site.acme)
        for width in (360, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            for path in ("/preguntar", "/buscar?q=feriado", "/documentos", f"/documentos/{site.acme_document}"):
                page.goto(path)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path
