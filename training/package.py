"""The folder that Ateneo loads: graph, tokeniser and a manifest that says what they are."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from product import UnknownWords, WordReader
from tokenizers import Tokenizer

NAME = "ateneo-minilm-es-v2"
MAX_TOKENS = 256
SIZE_LIMIT = 35_000_000
MIN_LETTERS = 5

SOURCES = [
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


class PackageError(RuntimeError):
    """The folder does not hold what Ateneo is promised."""


def write_folder(
    model: onnx.ModelProto, tokenizer_json: str, folder: Path, glosses: tuple[str, str] | None = None, home: int = 0
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
        "name": NAME,
        "dims": model.graph.output[0].type.tensor_type.shape.dim[1].dim_value,
        "max_tokens": MAX_TOKENS,
        "pooling": "in_graph",
        "normalize": "in_graph",
        "query_prefix": "",
        "passage_prefix": "",
        "dense_weight": 0.5,
        "unknown_words": rules,
        "license": "Apache-2.0 AND CC-BY-SA-3.0",
        "sources": SOURCES,
        "sha256": {name: _sha256(folder / name) for name in names},
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2)
    (folder / "ateneo.json").write_text(text + "\n", encoding="utf-8")
    size = folder_size(folder)
    if size >= SIZE_LIMIT:
        raise PackageError(f"{folder} has {size:,} bytes, the limit is {SIZE_LIMIT:,}")


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
