"""`/docs`: the API's reference, one page of HTML made from its OpenAPI description. No script, nothing from outside."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from ateneo.i18n import current, tr
from ateneo.text.clean import showable

PATH = "/docs"
_DEEPEST = 6
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f0;border-radius:4px}code{padding:.1rem .3rem}
pre{padding:.8rem;overflow-x:auto}td,th{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0}
table{font-size:15px}.m{display:inline-block;min-width:4.2rem;font-weight:700}article{margin-left:1rem}
"""


def install(app: FastAPI) -> None:
    """Puts the page at /docs; it is made anew for each reader's language."""

    async def page(request: Request) -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    app.add_route(PATH, page, include_in_schema=False)


def render(description: Mapping[str, Any]) -> str:
    """The page for an OpenAPI 3.1 description."""
    info = description["info"]
    intro = tr(
        "Cada pedido lleva su clave: <code>Authorization: Bearer ateneo_…</code>. La descripción para programas es "
        '<a href="openapi.json">openapi.json</a>.',
        "Each request brings its key: <code>Authorization: Bearer ateneo_…</code>. For programs: "
        '<a href="openapi.json">openapi.json</a>.',
    )
    parts = [
        f'<!doctype html><html lang="{current()}"><head><meta charset="utf-8"><title>{escape(info["title"])} API',
        f'</title><meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"<p>{escape(info.get('description', ''))} {intro}</p>",
        *_groups(description),
        "</body></html>",
    ]
    return showable("".join(parts))


def _groups(description: Mapping[str, Any]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    schemas = description.get("components", {}).get("schemas", {})
    for path, item in description["paths"].items():
        for method, operation in item.items():
            group = (operation.get("tags") or [""])[0]
            groups.setdefault(group, []).append(_operation(method.upper(), path, operation, schemas))
    for group, operations in groups.items():
        yield f"<h2>{escape(group)}</h2>" + "".join(operations)


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>"] if operation.get("description") else []
    parts += _parameters(operation.get("parameters", []))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>{tr('Cuerpo', 'Body')}: <code>{escape(kind)}</code></p>{_sample(content, schemas)}")
    for status, response in operation.get("responses", {}).items():
        if status.startswith("2"):
            for content in response.get("content", {}).values():
                parts.append(f"<p>{tr('Respuesta', 'Answer')}: {status}</p>{_sample(content, schemas)}")
    heading = f'<span class="m">{method}</span> <code>{escape(path)}</code> {escape(operation.get("summary", ""))}'
    anchor = escape(operation.get("operationId", ""), quote=True)
    return f'<details id="{anchor}"><summary>{heading}</summary><article>{"".join(parts)}</article></details>'


def _parameters(parameters: list[dict[str, Any]]) -> list[str]:
    if not parameters:
        return []
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code>{' *' if one.get('required') else ''}</td><td>{escape(one['in'])}"
        f"</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in parameters
    ]
    return [f"<table>{''.join(rows)}</table>"]


def _sample(content: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    if not content.get("schema"):
        return ""
    sample = example(content["schema"], schemas)
    return f"<pre>{escape(json.dumps(sample, ensure_ascii=False, indent=2))}</pre>"


def example(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0) -> Any:
    """A value that fits the schema: its own example or default where it has one, else one made of its parts."""
    if "$ref" in schema:
        schema = schemas.get(schema["$ref"].rsplit("/", 1)[-1], {})
    if schema.get("examples"):
        return schema["examples"][0]
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if depth == _DEEPEST:
        return None
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example(schema[key][0], schemas, depth + 1)
    if schema.get("type") == "object":
        return {name: example(one, schemas, depth + 1) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [example(schema["items"], schemas, depth + 1)] if "items" in schema else []
    return {"string": "…", "integer": 1, "number": 0.5, "boolean": False}.get(str(schema.get("type")))
