"""What a saved web page says, without what stands around it: menus, footers, banners."""

import re
from typing import Any

_UNREAD = ("script", "style", "noscript", "template", "svg", "iframe")
_AROUND = (
    "nav, aside, dialog, [role=navigation], [role=dialog], [role=banner], [role=contentinfo], [role=search],"
    " [aria-hidden=true], [hidden]"
)
_AT_EDGES = "header, footer, form"
_NAMED = re.compile(
    r"(?:^|[-_ ])(?:cookies?|consent|gdpr|lgpd|onetrust|newsletter|subscri\w*|suscri\w*|popup|modal|breadcrumbs?|migas"
    r"|menu|navbar|sidebar|share|social|compartir|related|relacionados|skip)(?:$|[-_ ])",
    re.IGNORECASE,
)
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
    return tree.html or page


def _is_at_the_edge(node: Any) -> bool:
    """Whether it is a header, footer or form of the page, not of an article in it or with the page's own heading."""
    within = node.parent
    while within is not None and within.tag not in ("article", "main", "section", "body"):
        within = within.parent
    return within is not None and within.tag == "body" and not node.css("h1")


def _is_named(node: Any) -> bool:
    names = f"{node.attributes.get('id') or ''} {node.attributes.get('class') or ''}"
    return node.tag not in ("body", "html", "main", "article") and _NAMED.search(names) is not None
