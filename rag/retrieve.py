"""A question to hits in order, with their sentences scored: candidates, late interaction, fusion.

The figures behind the constants are in `eval/LOG.md`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rag.protocols import Encoder, Encoding, Store
from rag.text import names, words
from rag.types import Floats, Hit, Ints, Retrieval, Signal

DEPTH = 40  # candidates from the dense ranking, and from BM25
KEPT = 10  # hits returned
FAR = 0.4  # a passage's match by token rows; where the best is less, the question is about something else
CONTEXT = 0.5  # of its passage's late interaction, in a sentence's score
WEIGHTS = {"late_sentence": 1.0, "late_passage": 1.0, "bm25": 0.25}
WEIGHTS_WITHOUT_TOKENS = {"dense": 1.0, "bm25": 1.0}


@np.errstate(invalid="ignore")  # OpenBLAS may read past a row's end, and raises that flag for what lies there
def retrieve(question: str, store: Store, encoder: Encoder, keep: int = KEPT) -> Retrieval:
    """A normalised question to the best passages of a store, at most `keep`.

    Candidates are the DEPTH best by the passages' dense rows and by BM25. Late interaction (ColBERT's MaxSim, over
    the encoder's own token rows) gives each of the question's terms its best cosine in every sentence and passage;
    their mean is weighted by the terms' rarity. The scores are standardised over the candidates, since they carry
    more than their order, and summed with WEIGHTS. A sentence's score is the mean of its own late interaction and of
    that together with the sentence before it, which often says who "he" is, and CONTEXT of its passage's.
    """
    encoding = encoder.encode_query(question)
    asked = words(question)
    nearest = store.dense(encoding.vector, DEPTH)
    lexical, bm25 = store.bm25(asked, DEPTH)
    numbers = sorted(nearest.keys() | lexical.keys())
    lowest = min(nearest.values(), default=0.0)  # for those that only BM25 found
    rankings = {"bm25": bm25[numbers], "dense": np.array([nearest.get(n, lowest) for n in numbers], np.float32)}
    mix, far = WEIGHTS_WITHOUT_TOKENS, 0.0
    if late := _late(question, encoding, store, numbers):
        matches, weights = late
        mix, far = WEIGHTS, FAR
    else:
        matches, weights = _by_words(asked, store, numbers)
    counts = np.array([len(store.passage(number).sentences) for number in numbers], np.int64)
    ends = np.cumsum(counts)
    starts = ends - counts
    both = _with_previous(matches, starts)
    sentence = np.asarray((matches + both) @ weights / 2, np.float32)
    passage = _best_of(matches, starts) @ weights
    rankings |= {"late_sentence": _best_of(sentence, starts), "late_passage": passage}
    scores = sum((weight * _standardised(rankings[name]) for name, weight in mix.items()), np.zeros(len(numbers)))
    order = np.argsort(-scores, kind="stable")
    ranks = {name: np.argsort(np.argsort(-values, kind="stable")) + 1 for name, values in rankings.items()}
    places = [slice(starts[i], ends[i]) for i in order[:keep]]
    hits = tuple(
        Hit(
            passage=store.passage(numbers[i]),
            score=float(scores[i]),
            sentence_scores=tuple((sentence[place] + CONTEXT * passage[i]).tolist()),
            trace={name: Signal(float(rankings[name][i]), int(ranks[name][i])) for name in rankings},
        )
        for i, place in zip(order[:keep], places, strict=True)
    )
    features = _features(question, hits, [both[place] for place in places], weights, far)
    kept = tuple(matches[place] for place in places)
    return Retrieval(question, hits, kept, weights, features, _warnings(encoding, encoder))


def _with_previous(matches: Floats, starts: Ints) -> Floats:
    """Passages' matches (sentences, terms) to those of each sentence together with the one before it in its passage."""
    previous = np.arange(len(matches)) - 1
    previous[starts] = starts
    return np.maximum(matches, matches[previous])


def _best_of(values: Floats, starts: Ints) -> Floats:
    """Sentences' values (sentences, ...) to the best of each passage's (passages, ...)."""
    best: Floats = np.maximum.reduceat(values, starts, axis=0) if len(starts) else values
    return best


def _late(question: str, encoding: Encoding, store: Store, numbers: Sequence[int]) -> tuple[Floats, Floats] | None:
    """The candidates' sentences against the question's terms (sentences, terms), and the terms' weights.

    None without token rows.
    """
    signs = [not any(c.isalnum() for c in question[start:end]) for start, end in encoding.offsets]
    terms = np.flatnonzero(~np.array(signs, bool)) if not all(signs) else np.arange(len(signs))
    stored = store.cosines(encoding.tokens[terms], numbers) if encoding.tokens is not None and len(terms) else None
    if stored is None:
        return None
    found = store.frequencies(encoding.ids[terms])
    rarity = np.log1p((len(store) - found + 1) / (found + 1))  # inverse document frequency, smoothed for few passages
    weights = (rarity / rarity.sum()).astype(np.float32)
    cosines, lengths = stored
    best = np.zeros((len(lengths), len(terms)), np.float32)
    held = lengths > 0
    best[held] = np.maximum.reduceat(cosines, (np.cumsum(lengths) - lengths)[held], axis=0)
    return best, weights


def _by_words(asked: Sequence[str], store: Store, numbers: Sequence[int]) -> tuple[Floats, Floats]:
    """As `_late`, for an encoder without token rows: a sentence matches the words of the question that it holds."""
    terms = sorted(set(asked)) or [""]
    passages = [store.passage(number) for number in numbers]
    held = [set(words(p.document.text[start:end])) for p in passages for start, end in p.sentences]
    matches = np.array([[term in has for term in terms] for has in held], np.float32).reshape(-1, len(terms))
    return matches, np.full(len(terms), 1 / len(terms), np.float32)


def _standardised(scores: Floats) -> Floats:
    """Scores to mean 0 and standard deviation 1; all equal to 0."""
    spread = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread > 1e-6 else np.zeros_like(scores)


def _features(
    question: str, hits: Sequence[Hit], both: Sequence[Floats], weights: Floats, far: float
) -> dict[str, float]:
    """How well the best sentence matches the question, by name and free of the corpus's size; {} without a hit.

    both: the hits' sentences' matches, each together with the sentence before it.
    weakest: the worst match among the terms that weigh (half the median or more). passage: how well the best passage
    matches the whole question; far: by how many tenths that is below `far`. names, numbers: how many of the question's
    the best sentence's passage lacks. words: how many content words the question has, 20 at the most.
    """
    ranked = sorted(
        ((-score, i, j) for i, hit in enumerate(hits) for j, score in enumerate(hit.sentence_scores)),
        key=lambda r: r[0],
    )
    if not ranked:
        return {}
    _, hit, sentence = ranked[0]
    asked, held = words(question), set(words(hits[hit].passage.text))
    row = both[hit][sentence]
    passage = max(float(of_hit.max(axis=0) @ weights) for of_hit in both)
    return {
        "passage": passage,
        "far": 10 * max(0.0, far - passage),
        "weakest": float(row[weights >= np.median(weights) / 2].min()),
        "names": float(len(names(question) - held)),
        "numbers": float(len({word for word in asked if any(c.isdigit() for c in word)} - held)),
        "words": float(min(len(asked), 20)),
    }


def _warnings(encoding: Encoding, encoder: Encoder) -> tuple[str, ...]:
    found = []
    if encoding.length > encoder.limit:
        found.append(f"The question has {encoding.length} tokens; only its first {encoder.limit} were read.")
    if encoding.tokens is None:
        found.append(f"{encoder.model} gives no token vectors: ranked by dense and BM25 only.")
    return tuple(found)
