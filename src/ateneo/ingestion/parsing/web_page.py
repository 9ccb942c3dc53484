"""What a saved web page says, without what stands around it: menus, footers, banners."""

import re
from typing import Any

_UNREAD = ("script", "style", "noscript", "template", "svg", "iframe")
_UNMARKED = ("form", "ins", "mark", "abbr")
"""What kreuzberg leaves out, as whole pages within a form are, or puts marks around."""
_AROUND = (
    "nav, aside, dialog, [role=navigation], [role=dialog], [role=banner], [role=contentinfo], [role=search], [hidden]"
)
_AT_EDGES = "header, footer, form"
_NAMED = re.compile(
    r"(?:^|[-_ ])(?:cookies?|consent|gdpr|lgpd|onetrust|newsletter|subscri\w*|suscri\w*|popup|modal|breadcrumbs?|migas"
    r"|footer|copyright|menu|nav|navbar|sidebar|share|social|compartir|related|relacionados|skip)(?:$|[-_ ])",
    re.IGNORECASE,
)
_MOST_LAYOUT_TABLES = 100
_MOST_SHARE = 0.4
"""What holds more of the page's text than this is no part of its edges, whatever its name."""


def main_part(page: str) -> str:
    """The page's HTML without its edges."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(page)
    if tree.body is None:
        return page
    tree.strip_tags(list(_UNREAD))
    most = _MOST_SHARE * len(tree.body.text(deep=True))
    edges = [
        *tree.css(_AROUND),
        *filter(_is_at_the_edge, tree.css(_AT_EDGES)),
        *filter(_is_named, tree.css("[id], [class]")),
    ]
    for node in edges:
        if len(node.text(deep=True)) < most:
            node.decompose()
    tree.unwrap_tags(list(_UNMARKED))
    _flatten_layout(tree)
    return tree.html or page


def _flatten_layout(tree: Any) -> None:
    """Replaces tables that only place what is on the page by their cells, one below the other."""
    from selectolax.lexbor import LexborHTMLParser

    for _ in range(_MOST_LAYOUT_TABLES):
        table = next(filter(_is_layout, tree.css("table")), None)
        if table is None:
            return
        cells = "".join(f"<div>{cell.inner_html}</div>" for row in _own_rows(table) for cell in _cells(row))
        table.replace_with(LexborHTMLParser(f"<div>{cells}</div>").css_first("div"))


def _is_layout(table: Any) -> bool:
    """Whether it has one column, or holds other tables or headings in hardly any rows of several cells."""
    widths = [len(_cells(row)) for row in _own_rows(table)]
    wide = sum(width > 1 for width in widths)
    return not wide or (wide <= 2 and table.css_first("td table, td h1, td h2, td h3, td h4") is not None)


def _own_rows(table: Any) -> list[Any]:
    parts = [part for part in table.iter() if part.tag in ("thead", "tbody", "tfoot")]
    return [row for part in (table, *parts) for row in part.iter() if row.tag == "tr"]


def _cells(row: Any) -> list[Any]:
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def _is_at_the_edge(node: Any) -> bool:
    """Whether it is a header, footer or form of the page, not of an article in it or with the page's own heading."""
    within = node.parent
    while within is not None and within.tag not in ("article", "main", "section", "body"):
        within = within.parent
    return within is not None and within.tag == "body" and not node.css("h1")


def _is_named(node: Any) -> bool:
    names = f"{node.attributes.get('id') or ''} {node.attributes.get('class') or ''}"
    return node.tag not in ("body", "html", "main", "article") and _NAMED.search(names) is not None
