"""Mutants of Python: who asks, what they may, what a token must hold, how much may come, each switched off."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch

from tests.mutants import sql
from tests.mutants.mutant import Mutant

GUARDED = (
    "api/*",
    "console/*",
    "mcp/*",
    "access/*",
    "ingestion/*",
    "search/options.py",
    "providers/login.py",
    "db/keys.py",
    "db/tenant_token.py",
)
"""Where a refusal, a check or a limit is a guard."""
_ERRORS = {
    "AccessDenied", "OtherEmpresa", "ScopeMissing", "RateLimited", "TooManyFailures", "HTTPException", "BadArgument",
    "DocumentTooLarge", "DocumentTooSlow", "_TooLarge", "_TooMuch", "OSError", "SignInNeeded",
}  # fmt: skip
_CHECK = re.compile(
    r"_?(require|refuse\w*|check\w*|spend|failed|identify|limit\w*|lower\w*|bind_to|confine\w*|restrict\w*|deny\w*|forbid\w*"
    r"|isolate\w*|prctl|kill|add_middleware|held|same_origin)$"
)
_LIMIT = re.compile(
    r"_?(MOST|LARGEST|DEEPEST|MAX)_|_?(LONGEST)_(?!HEADING|TITLE|CELL|VALUE)|\w*(_LIMIT|_BYTES|_MEMORY|_SECONDS|_CHARACTERS|_CHARS)$"
)
_LAYOUT = tuple(
    f"ingestion/parsing/{name}"
    for name in (
        "cell_format",
        "front_matter",
        "ocr_lines",
        "pdf_tables",
        "pictures",
        "rtf",
        "tables",
        "titles",
        "web_page",
    )
)
"""Where a figure says what a page looks like, not how much of one is read."""
_KEYWORDS = {
    ("decode", "issuer"): 'issuer=jwt.decode(token, options={"verify_signature": False}).get("iss")',
    ("decode", "audience"): 'audience=jwt.decode(token, options={"verify_signature": False}).get("aud")',
    ("decode", "leeway"): "leeway=10**9",
    ("decode", "algorithms"): 'algorithms=[*ALGORITHMS, "HS256", "none"]',
    (
        "decode",
        "options",
    ): 'options={"verify_signature": False, "verify_exp": True, "verify_aud": True, "verify_iss": True}',
    ("TransportSecuritySettings", "enable_dns_rebinding_protection"): "enable_dns_rebinding_protection=False",
    ("streamable_http_app", "transport_security"): "transport_security=None",
    ("streamable_http_app", "host"): 'host="0.0.0.0"',
    ("APIRouter", "route_class"): "",
    ("tenant", "writes"): "writes=False",
    ("Popen", "env"): "",
    ("Popen", "cwd"): "",
    ("Popen", "pass_fds"): "",
    ("Field", "max_length"): "",
    ("Field", "le"): "",
    ("Query", "max_length"): "",
    ("Query", "le"): "",
    ("Form", "max_length"): "",
    ("post", "dependencies"): "",
    ("loads", "max_age"): "max_age=None",
    ("set_cookie", "httponly"): "httponly=False",
    ("set_cookie", "samesite"): 'samesite="none"',
    ("set_cookie", "secure"): "secure=False",
}
"""What stands for a keyword of a call where its guard is off."""
_NO_GUARDS = ("PageRoute",)
"""How errors look."""
_INSTEAD = {"self._signer.loads": "(lambda cookie, max_age: self._signer.loads_unsafe(cookie)[1])"}
"""What stands for a function that is a guard by itself."""
_SCOPES = ("write", "agents", "admin")
_NOBODYS = '__import__("typing").Annotated[str, __import__("fastapi").Depends(lambda: "otra")]'


def of_file(path: str, source: str) -> Iterator[Mutant]:
    """Those of one module."""
    module = _Module(path, source)
    if path.startswith("db/"):
        yield from sql.companies(path, source, module.strings())
    if any(fnmatch(path, pattern) for pattern in GUARDED):
        for node, place in module.nodes():
            yield from module.mutants(node, place)
    else:
        for node, place in module.nodes():
            if isinstance(node, ast.Call):
                yield from (one for one in module.keywords(node, place) if one.text.startswith("writes="))


class _Module:
    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source
        self._tree = ast.parse(source)
        lines = source.splitlines(keepends=True)
        self._starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
        self._lines = lines

    def nodes(self, node: ast.AST | None = None, place: str = "-") -> Iterator[tuple[ast.AST, str]]:
        """Every node with the name of the function or class that it is in."""
        for child in ast.iter_child_nodes(node or self._tree):
            named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            yield child, place
            yield from self.nodes(child, child.name if named else place)  # type: ignore[attr-defined]

    def strings(self) -> Iterator[tuple[int, int, str]]:
        """Every text, where it starts and ends, and the function that it is in."""
        inside: set[int] = set()
        for node, place in self.nodes():
            text = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
            if text and id(node) not in inside and not self._documents(node):
                inside |= {id(part) for part in ast.walk(node)}
                yield *self._span(node), place

    def mutants(self, node: ast.AST, place: str) -> Iterator[Mutant]:
        if isinstance(node, ast.If):
            yield from self._refusal(node, place)
        elif isinstance(node, ast.Expr):
            yield from self._check(node, place)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from self._limit(node, place)
        elif isinstance(node, ast.arg) and self._path.startswith(("api/", "console/")):
            yield from self._authentication(node, place)
        elif isinstance(node, ast.Call):
            yield from self.keywords(node, place)
            if ast.unparse(node.func) in _INSTEAD:
                yield self._mutant("check", *self._span(node.func), _INSTEAD[ast.unparse(node.func)], place)
        elif isinstance(node, ast.IfExp) and self._path == "console/sign_in.py":
            yield from self._parts(node.test, place)
        elif isinstance(node, ast.IfExp) and self._path.endswith("confinement.py"):
            yield self._mutant("confinement", *self._span(node.test), "False", place)
        elif isinstance(node, ast.Tuple) and _name(node.elts[0] if node.elts else None).startswith("RLIMIT_"):
            yield self._mutant("limit", *self._span(node.elts[1]), str(2**20), place)
        elif isinstance(node, ast.Constant) and node.value in _SCOPES:
            yield from self._scope(node, place)

    def keywords(self, call: ast.Call, place: str) -> Iterator[Mutant]:
        name = _name(call.func)
        for keyword in call.keywords:
            by = _KEYWORDS.get((name, keyword.arg or ""))
            if by is not None and _name(keyword.value) not in _NO_GUARDS:
                kind = "claim" if name == "decode" else "limit" if name in ("Field", "Query", "Form") else "setting"
                start, end = self._span(keyword)
                yield self._mutant(kind, start, end if by else self._after_comma(end), by, place)

    def _refusal(self, node: ast.If, place: str) -> Iterator[Mutant]:
        raised = next((part for part in node.body if isinstance(part, ast.Raise) and part.exc), None)
        if raised is not None and _name(raised.exc) in _ERRORS:
            yield self._mutant("refusal", *self._span(node.test), "False", place)
            if self._path.startswith("console/"):
                yield from self._parts(node.test, place)

    def _parts(self, test: ast.expr, place: str) -> Iterator[Mutant]:
        """Each part of a condition, as if the others alone decided."""
        if isinstance(test, ast.BoolOp):
            by = "True" if isinstance(test.op, ast.And) else "False"
            for part in test.values:
                yield self._mutant("condition", *self._span(part), by, place)

    def _check(self, node: ast.Expr, place: str) -> Iterator[Mutant]:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call) and _CHECK.match(_name(call.func)):
            yield self._mutant("check", *self._span(node), "pass", place)

    def _limit(self, node: ast.Assign | ast.AnnAssign, place: str) -> Iterator[Mutant]:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if not isinstance(target, ast.Name) or place != "-" or node.value is None:
            return
        if _LIMIT.match(target.id) and not self._path.startswith(_LAYOUT):
            try:
                value = eval(compile(ast.Expression(node.value), self._path, "eval"), {"MIB": 1024 * 1024})
            except (NameError, ValueError):
                return
            if isinstance(value, int | float):
                kind = type(value)(10**12)
                start, end = self._span(node)
                yield self._mutant("limit", start, end, f"{target.id} = {kind!r}", place)
        elif target.id == "_REQUIRED" and isinstance(node.value, ast.Tuple):
            for one, other in zip(node.value.elts, [*node.value.elts[1:], node.value.elts[0]], strict=True):
                yield self._mutant("claim", *self._span(one), ast.unparse(other), place)

    def _authentication(self, node: ast.arg, place: str) -> Iterator[Mutant]:
        if node.annotation is not None and _name(node.annotation) in ("Tenant", "Company"):
            yield self._mutant("authentication", *self._span(node.annotation), _NOBODYS, place)

    def _scope(self, node: ast.Constant, place: str) -> Iterator[Mutant]:
        line = self._lines[node.lineno - 1]
        if self._path in ("api/tenant.py", "console/access.py", "mcp/server.py") and re.search(r"return|_call\(", line):
            yield self._mutant("scope", *self._span(node), '"read"', place)
        elif self._path.startswith(("api/", "console/")) and "tags=[" in line:
            yield self._mutant("scope", *self._span(node), '"health"', place)

    def _mutant(self, kind: str, start: int, end: int, by: str, place: str) -> Mutant:
        return Mutant(kind, self._path, place, start, end, self._source[start:end], by)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _at(self, line: int, column: int) -> int:
        """ast counts bytes."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def _after_comma(self, end: int) -> int:
        following = re.match(r"\s*,\s?", self._source[end:])
        return end + (following.end() if following else 0)

    def _documents(self, node: ast.AST) -> bool:
        return self._source.startswith('"""', self._span(node)[0]) and "empresa_id =" not in (
            ast.get_source_segment(self._source, node) or ""
        )


def _name(node: ast.AST | None) -> str:
    """The last name of a call, an attribute or a name."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
