"""The folder that Ateneo loads: graph, tokeniser and a manifest that says what they are."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from product import UnknownWords, WordReader
from tokenizers import Tokenizer

MIN_LETTERS = 5

_V2_SOURCES = [
    {"name": "sentence-transformers/all-MiniLM-L6-v2", "role": "base weights", "license": "Apache-2.0"},
    {"name": "Adobe Workfront documentation, English and Spanish", "role": "sentence pairs", "license": "MIT"},
    {"name": "Microsoft Dynamics 365 SMB documentation", "role": "sentence pairs", "license": "CC-BY-4.0"},
    {"name": "GNOME user documentation", "role": "sentence pairs", "license": "CC-BY-3.0"},
    {"name": "Python documentation, English and Spanish", "role": "sentence pairs", "license": "PSF-2.0, CC0-1.0"},
    {"name": "Wiktionary, Spanish-English glosses", "role": "lexicon and glosses", "license": "CC-BY-SA-3.0"},
    {
        "name": "Ateneo's lexicon of Latin American business Spanish",
        "role": "lexicon and terms",
        "license": "Apache-2.0",
    },
]
_V3_SOURCES = [
    {"name": "intfloat/multilingual-e5-small", "role": "base weights and tokenizer", "license": "MIT"},
    {"name": "Ateneo's questions in people's own words", "role": "questions and passages", "license": "Apache-2.0"},
    *[one for one in _V2_SOURCES if one["role"] == "sentence pairs"],
    {"name": "Ateneo's lexicon of Latin American business Spanish", "role": "terms", "license": "Apache-2.0"},
]


@dataclass(frozen=True, slots=True)
class Card:
    """What a manifest says of a model that its files do not."""

    name: str
    max_tokens: int
    most_bytes: int
    prefixes: tuple[str, str]
    """Of a question, of a passage."""
    dense_weight: float
    license: str
    sources: list[dict[str, str]]


V2 = Card("ateneo-minilm-es-v2", 256, 35_000_000, ("", ""), 0.35, "Apache-2.0 AND CC-BY-SA-3.0", _V2_SOURCES)
V3 = Card("ateneo-e5-es-v3", 512, 45_000_000, ("query: ", "passage: "), 0.35, "Apache-2.0 AND MIT", _V3_SOURCES)
NAME, MAX_TOKENS = V2.name, V2.max_tokens


class PackageError(RuntimeError):
    """The folder does not hold what Ateneo is promised."""


def write_folder(
    model: onnx.ModelProto,
    tokenizer_json: str,
    folder: Path,
    card: Card = V2,
    glosses: tuple[str, str] | None = None,
    home: int = 0,
) -> None:
    """Write the files; refuses to leave a folder that is too large.

    ``glosses``: name and content of the file of glosses; ``home``: the first id of the Spanish words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    names = ["model.onnx", "tokenizer.json"]
    rules: dict[str, object] | None = None
    if glosses:
        names.append(glosses[0])
        (folder / glosses[0]).write_text(glosses[1], encoding="utf-8")
        rules = {"glosses": glosses[0], "min_letters": MIN_LETTERS, "home": home}
    manifest = {
        "name": card.name,
        "dims": model.graph.output[0].type.tensor_type.shape.dim[1].dim_value,
        "max_tokens": card.max_tokens,
        "pooling": "in_graph",
        "normalize": "in_graph",
        "query_prefix": card.prefixes[0],
        "passage_prefix": card.prefixes[1],
        "dense_weight": card.dense_weight,
        "unknown_words": rules,
        "license": card.license,
        "sources": card.sources,
        "sha256": {name: _sha256(folder / name) for name in names},
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    (folder / "ateneo.json").write_text(text + "\n", encoding="utf-8")
    size = folder_size(folder)
    if size >= card.most_bytes:
        raise PackageError(f"{folder} has {size:,} bytes, the limit is {card.most_bytes:,}")


def folder_size(folder: Path) -> int:
    """Bytes of everything in the folder."""
    return sum(file.stat().st_size for file in folder.iterdir())


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class PackagedEncoder:
    """Embeds texts with a written folder, the way Ateneo does."""

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Load and verify a folder; ``threads=0`` leaves their number to onnxruntime."""
        manifest = json.loads((folder / "ateneo.json").read_text(encoding="utf-8"))
        for name, expected in manifest["sha256"].items():
            if _sha256(folder / name) != expected:
                raise PackageError(f"{folder / name} is not the file that its manifest describes")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(manifest["max_tokens"])
        rules = manifest.get("unknown_words")
        self._reader = rules and WordReader(
            self._tokenizer, folder, UnknownWords.model_validate(rules), manifest["max_tokens"]
        )
        self._dims = manifest["dims"]

    def embed(self, texts: list[str], batch: int = 16) -> np.ndarray:
        """Unit vectors of any number of texts, in their order."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), self._dims), np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            encoded = self._tokenizer.encode_batch([texts[i] for i in chosen])
            rows = [
                self._reader.ids(e, texts[i]) if self._reader else e.ids for i, e in zip(chosen, encoded, strict=True)
            ]
            longest = max(map(len, rows))
            ids = np.array([row + [0] * (longest - len(row)) for row in rows], np.int64)
            mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
            out[chosen] = self._session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})[0]
        return out
