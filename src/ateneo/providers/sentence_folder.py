"""What a folder in the layout of sentence-transformers says of its model: graph, pooling, prefixes, window.

The files, as the library writes them: modules.json, N_Pooling/config.json, sentence_bert_config.json,
config_sentence_transformers.json (prompts), config.json and tokenizer_config.json; all of them may be missing.
"""

import json
import mmap
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ateneo.errors import ModelError
from ateneo.i18n import tr
from ateneo.providers.model_folder import GRAPH, MANIFEST, TOKENIZER, USUAL_MAX_TOKENS, Manifest, Pooling

_POOLINGS: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
_FLAGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "lasttoken"}
_QUERY_PROMPTS = ("query",)
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
_OFFSET_OF_ROBERTA = 2
"""RoBERTa's position table has two rows that no token uses."""
_KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
_LFS = b"version https://git-lfs.github.com/spec/"
_EXTERNAL = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)
"""Where a tensor of an ONNX graph names the file of its weights: an entry of onnx.proto's external_data, the key and
its length, then the length of the name that follows."""
_MATRYOSHKA = ("matryoshka_dimensions", "matryoshka_dims")
_PREFIXES_IN_README = (("query: ", "passage: "),)
"""Some models (E5) tell their prefixes in prose only."""


@dataclass(frozen=True, slots=True)
class Source:
    """`files`: name in Ateneo's layout -> the file; `manifest` lacks hashes and `dims` (but of an ateneo.json).
    `shorter`: the dimensions that its vectors may be cut to; empty where they may be cut, and to how many is not said;
    None where they may not."""

    files: Mapping[str, Path]
    manifest: Manifest
    shorter: tuple[int, ...] | None = None


def read(folder: Path, graph: str | None = None, pooling: Pooling | None = None) -> Source:
    """`graph`: path of the ONNX file inside the folder; by default model.onnx or onnx/model.onnx. `pooling`: where it
    is known, what the folder says of it is not read.

    A folder with an ateneo.json of its own is taken at its word. Raises ModelError for what cannot be used.
    """
    if not folder.is_dir():
        raise ModelError(folder=folder, detail=tr("no hay tal carpeta.", "there is no such folder."))
    chosen = _graph(folder, graph)
    tokenizer = next((path for path in (folder / TOKENIZER, chosen.parent / TOKENIZER) if path.is_file()), None)
    if tokenizer is None:
        raise ModelError(folder=folder, detail=tr(f"falta {TOKENIZER}.", f"{TOKENIZER} is missing."))
    files = {GRAPH: chosen, TOKENIZER: tokenizer} | _weights(chosen)
    _refuse_pointers(files)
    if (folder / MANIFEST).is_file():
        manifest = Manifest.read(folder)
        if manifest.unknown_words and manifest.unknown_words.glosses:
            files[manifest.unknown_words.glosses] = folder / manifest.unknown_words.glosses
        sums = {name: digest for name, digest in manifest.sha256.items() if files.get(name) == folder / name}
        return Source(files, manifest.model_copy(update={"sha256": sums}), _shorter(folder))
    config = _json(folder / "config.json")
    query, passage = _prefixes(folder)
    return Source(
        files,
        Manifest(
            name=folder.resolve().name,
            max_tokens=_max_tokens(folder, config),
            pooling=pooling or _pooling(folder),
            query_prefix=query,
            passage_prefix=passage,
            license=_license(folder),
        ),
        _shorter(folder),
    )


def _graph(folder: Path, named: str | None) -> Path:
    names = [named] if named else [GRAPH, f"onnx/{GRAPH}"]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.onnx"))
    there = tr(f"; hay: {', '.join(found)}", f"; there are: {', '.join(found)}") if found else ""
    raise ModelError(folder=folder, detail=tr(f"falta {names[-1]}{there}.", f"{names[-1]} is missing{there}."))


def _weights(graph: Path) -> dict[str, Path]:
    """The files beside the graph that it takes weights from; exporters name them as they like. Raises ModelError for
    one that is missing or lies elsewhere."""
    found = {name: graph.parent / name for name in weights_named_by(graph)}
    for name, path in found.items():
        if Path(name).name != name or not path.is_file():
            detail = tr(
                f"{graph.name} toma pesos de {name}, que falta al lado.",
                f"{graph.name} takes weights from {name}, which is not beside it.",
            )
            raise ModelError(folder=graph.parent, detail=detail)
    return found


def weights_named_by(graph: Path) -> list[str]:
    """The names of the files that it takes weights from, each once."""
    return sorted(set(_named_by(graph)))


def _named_by(graph: Path) -> Iterator[str]:
    if graph.stat().st_size == 0:
        return
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in _EXTERNAL.finditer(content):
            yield content[match.end() : match.end() + match[1][0]].decode("utf-8", errors="replace")


def _refuse_pointers(files: Mapping[str, Path]) -> None:
    for path in files.values():
        with path.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                detail = tr(
                    f"{path.name} es un puntero de git-lfs; bajá el archivo con `git lfs pull`.",
                    f"{path.name} is a pointer of git-lfs; get the file by `git lfs pull`.",
                )
                raise ModelError(folder=path.parent, detail=detail)


def _pooling(folder: Path) -> Pooling | None:
    """None where the folder does not say: then the graph decides."""
    modules = _json(folder / "modules.json")
    rows: Sequence[Mapping[str, Any]] = modules.get("modules", [])
    kinds = {str(row.get("type", "")).rsplit(".", 1)[-1]: str(row.get("path", "")) for row in rows}
    unknown = sorted(set(kinds) - _KNOWN_MODULES)
    if unknown:
        what = ", ".join(unknown)
        detail = tr(
            f"modules.json pide {what} después de la red. Exportá a ONNX el modelo entero, con la salida "
            f"sentence_embedding, y borrá modules.json.",
            f"modules.json asks for {what} after the network. Export the whole model to ONNX, with the output "
            f"sentence_embedding, and delete modules.json.",
        )
        raise ModelError(folder=folder, detail=detail)
    path = kinds.get("Pooling", "1_Pooling")
    config = _json(folder / path / "config.json")
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else [name for name in config if _is_mode(name) and config[name] is True]
    chosen = [_POOLINGS.get(_FLAGS.get(mode, mode)) for mode in modes]
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] is None:
        what = ", ".join(modes)
        raise ModelError(
            folder=folder,
            detail=tr(
                f"{path}/config.json pide {what}; sé promediar (mean), o tomar el primer token (cls) o el último "
                "(lasttoken).",
                f"{path}/config.json asks for {what}; known are mean, cls and lasttoken.",
            ),
        )
    return chosen[0]


def _is_mode(name: str) -> bool:
    return name.startswith("pooling_mode_")


def _prefixes(folder: Path) -> tuple[str, str]:
    """Of questions and of passages; empty where no file tells any."""
    config = _json(folder / "config_sentence_transformers.json")
    prompts: Mapping[str, str] = config.get("prompts") or {}
    usual = prompts.get(config.get("default_prompt_name") or "", "")
    query, passage = (
        next((prompts[name] for name in names if prompts.get(name)), usual)
        for names in (_QUERY_PROMPTS, _PASSAGE_PROMPTS)
    )
    if query or passage:
        return query, passage
    readme = _text(folder / "README.md")
    for pair in _PREFIXES_IN_README:
        if all(f'"{prefix}' in readme for prefix in pair):
            return pair
    return "", ""


def _max_tokens(folder: Path, config: Mapping[str, Any]) -> int:
    """The window, special tokens included: what the author chose, but no more than the network has places for."""
    places = config.get("max_position_embeddings")
    if isinstance(places, int) and "roberta" in str(config.get("model_type", "")):
        places -= _OFFSET_OF_ROBERTA
    told = [
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
    ]
    chosen = next((value for value in told if isinstance(value, int) and value < 1_000_000), None)
    found = [value for value in (chosen, places) if isinstance(value, int)]
    return min(found, default=USUAL_MAX_TOKENS)


def _shorter(folder: Path) -> tuple[int, ...] | None:
    """Matryoshka dimensions: of config.json, else the README tells of them in prose alone."""
    config = _json(folder / "config.json")
    told = next((config[name] for name in _MATRYOSHKA if isinstance(config.get(name), list)), None)
    if told is not None:
        return tuple(value for value in told if isinstance(value, int))
    return () if "matryoshka" in _text(folder / "README.md").lower() else None


def _license(folder: Path) -> str:
    """Of the front matter of the README, as hubs read it."""
    found = re.search(r"\A---\n.*?^license: *(\S+)", _text(folder / "README.md"), re.S | re.M)
    return found[1] if found else ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    """The file's object; a list comes as {stem: list}; {} where there is no file."""
    try:
        value = json.loads(_text(path) or "{}")
    except ValueError as error:
        raise ModelError(folder=path.parent, detail=f"{path.name}: {error}") from error
    return value if isinstance(value, dict) else {path.stem: value}
