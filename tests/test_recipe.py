"""The reader's recipe: examples by hand, swapped questions, batches, and that the export is the trained model."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from rag import RagError
from reader.examples import ARTICLES, WINDOW, Corpus, Example, Ids, batches, draw
from reader.swap import swapped
from tests.test_reader import tokenizer_of

TEXT = "Rollo led the Normans in 911. Hastings was won by William in 1066. Nobody likes herring. The “Café” is old."


def ids(tokens: Iterable[int]) -> Ids:
    return np.array(list(tokens), np.int32)


def row(number: int, question: str, answers: list[str], start: str, **more: object) -> dict[str, object]:
    asked = {"id": str(number), "question": question, "answers": answers, "answerable": bool(answers)}
    return asked | {"answer_start": TEXT.index(start), "doc_id": "a"} | more


QUESTIONS = [
    row(1, "Who won at Hastings?", ["William"], "William"),
    row(2, "What is old?", ["The “Café”", "Café"], "The “"),
    row(3, "Who won in 1067?", [], "William", plausible_answers=["William"]),
]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [
        {"doc_id": "a", "title": "Normans here", "text": TEXT},
        {"doc_id": "b", "title": "Out", "text": "Held out."},
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    asked = [question | {"doc_id": "a"} for question in QUESTIONS]
    asked.append(
        {"id": "4", "question": "?", "answers": ["Held"], "answer_start": 0, "answerable": True, "doc_id": "b"}
    )
    (folder / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), "utf-8")
    made = Corpus(tokenizer_of(TEXT, *(str(question["question"]) for question in QUESTIONS)))
    made.add(folder, without={"Out"})
    return made


def said(corpus: Corpus, example: Example) -> list[str]:
    """An example's answers, as words of its window."""
    text = corpus.texts[0]
    table = {int(token): text.text[a:b] for token, (a, b) in zip(text.ids, text.offsets, strict=True)}
    words = [table[int(token)] for token in example.window]
    return [" ".join(words[first : last + 1]) for first, last in example.answers]


def test_answers_are_found_where_they_start(corpus: Corpus) -> None:
    assert [len(asked.answers) for asked in corpus.asked] == [1, 2, 0]
    assert [asked.answerable for asked in corpus.asked] == [True, True, False]
    assert len(corpus.texts) == 1
    assert len(corpus.texts[0].starts) == 5
    chance = random.Random(1)
    for asked, wanted in zip(corpus.asked, (["William"], ["The “ Café ”", "Café"], []), strict=True):
        example = draw(corpus, asked, "own", chance)
        assert example is not None
        assert said(corpus, example) == wanted
        assert len(example.window) <= WINDOW


def test_a_window_without_its_answers_sentence(corpus: Corpus) -> None:
    example = draw(corpus, corpus.asked[0], "drop", random.Random(1))
    assert example is not None
    assert example.answers == ()
    text = corpus.texts[0]
    left = [*text.ids[: text.starts[1]], *text.ids[text.starts[2] :]]
    assert set(text.ids[: text.starts[1]]) <= set(example.window) <= set(left)


def test_a_near_miss_never_holds_the_answer(corpus: Corpus) -> None:
    asked = corpus.asked[0]
    assert draw(corpus, asked, "near", random.Random(1)) is None
    corpus.put_near([[(0, 1)], [], []])
    assert draw(corpus, asked, "near", random.Random(1)) is None  # its window holds the answer
    with pytest.raises(ValueError, match="zip"):
        corpus.put_near([[]])


def test_near_misses_are_of_the_questions_added_last(corpus: Corpus, tmp_path: Path) -> None:
    corpus.put_near([[(0, 1)], [], []])
    corpus.add(tmp_path / "small", titles={"Out"})
    corpus.put_near([[(1, 0)]])
    assert [asked.near for asked in corpus.asked] == [[(0, 1)], [], [], [(1, 0)]]


@pytest.mark.model
def test_near_misses_are_mined_in_the_texts_added_last(corpus: Corpus, tmp_path: Path) -> None:
    corpus.put_near(corpus.mine())
    first, *_ = [list(asked.near) for asked in corpus.asked]
    assert first
    assert (0, 1) not in first  # the sentence that answers
    corpus.add(tmp_path / "small", titles={"Normans here"})
    again = corpus.mine()
    assert len(again) == 3
    assert {text for places in again for text, _ in places} == {1}


@pytest.mark.model
@pytest.mark.parametrize("kept", ["[[]]", "[[", "[[[0, 1]], [], [], []]"])
def test_near_misses_kept_of_other_questions_are_said(corpus: Corpus, tmp_path: Path, kept: str) -> None:
    from reader.train import _put_near

    file = tmp_path / "near.json"
    file.write_text(kept)
    with pytest.raises(RagError, match="not of these questions"):
        _put_near(corpus, file)


@pytest.mark.model
def test_the_rate_rises_falls_and_ends_at_nothing() -> None:
    from reader.train import KEPT, rate_at

    rates = [rate_at(step, 100, 150) for step in range(151)]
    assert rates[7] == 1 == max(rates)
    assert rates == sorted(rates[:8]) + sorted(rates[8:], reverse=True)
    assert rates[100] == KEPT
    assert rates[150] == 0
    assert rates[:100] == [rate_at(step, 100, 400) for step in range(100)]  # whatever closes it


def test_what_is_far_is_a_window_of_another_title(corpus: Corpus, tmp_path: Path) -> None:
    asked = corpus.asked[0]
    assert draw(corpus, asked, "far", random.Random(1)) is None  # there is no other
    corpus.add(tmp_path / "small", titles={"Out"})
    found = [draw(corpus, asked, "far", random.Random(seed)) for seed in range(20)]
    drawn = [example for example in found if example]
    assert 0 < len(drawn) < 20  # none when its own text is drawn
    for example in drawn:
        assert (example.answers, example.window.tolist()) == ((), corpus.texts[1].ids.tolist())


def test_a_question_is_learned_with_its_mark(corpus: Corpus) -> None:
    assert corpus.question_ids("Who won at Hastings").tolist() == corpus.question_ids("Who won at Hastings?").tolist()


def test_the_articles_written_for_it_are_a_set() -> None:
    made = Corpus(tokenizer_of("Who?"))
    made.add(ARTICLES)
    assert len(made.texts) > 20
    held = {asked.text: 0 for asked in made.asked}
    assert len(held) == len(made.texts)
    for asked in made.asked:
        assert asked.place >= 0, asked.question
        assert bool(asked.answers) == asked.answerable
    share = sum(asked.answerable for asked in made.asked) / len(made.asked)
    assert 0.4 < share < 0.7


def test_a_swapped_example_has_another_question_and_no_answer(corpus: Corpus) -> None:
    example = draw(corpus, corpus.asked[0], "swap", random.Random(4))
    assert example is not None
    assert example.answers == ()
    assert example.question.tolist() != corpus.question_ids("Who won at Hastings?").tolist()


@pytest.mark.parametrize(
    ("question", "others"),
    [
        ("Who won at Hastings?", ["Who won at William?", "Who lost at Hastings?"]),
        ("who was the oldest to win?", ["who was the youngest to win?", "who was the oldest to lose?"]),
        ("What ended on Monday?", ["What began on Monday?", "What ended on Friday?"]),
        ("Who was there?", ["Who wasn't there?", None]),
    ],
)
def test_a_swap_changes_one_thing(question: str, others: list[str | None]) -> None:
    found = {swapped(question, TEXT, random.Random(seed)) for seed in range(80)}
    assert question not in found
    assert set(others) <= found
    kept = set(question.strip("?").split())
    assert all(other is None or len(kept - set(other.strip("?").split())) <= 1 for other in found)


def test_a_swapped_year_is_another_year() -> None:
    found = {swapped("what of 1066?", TEXT, random.Random(seed)) for seed in range(40)}
    assert all(other is None or (other.startswith("what of ") and "1066" not in other) for other in found)
    assert len(found) > 5


def test_every_example_is_in_one_batch_of_few_tokens() -> None:
    chance = random.Random(3)
    examples = [Example(ids(range(5)), ids(range(chance.randrange(10, 120))), ()) for _ in range(300)]
    made = batches(examples, 800, random.Random(1))
    assert sorted(id(e) for batch in made for e in batch) == sorted(id(e) for e in examples)
    for batch in made:
        lengths = [len(e.question) + len(e.window) + 3 for e in batch]
        assert max(lengths) * len(batch) <= 800
        assert max(lengths) - min(lengths) <= 40
    assert [[id(e) for e in batch] for batch in made] == [
        [id(e) for e in b] for b in batches(examples, 800, random.Random(1))
    ]


@pytest.mark.model
def test_the_export_is_the_model_and_its_loss_falls(tmp_path: Path) -> None:
    import torch

    from rag.runtime import open_graph
    from reader.export import export
    from reader.model import Reader, collate, loss

    torch.manual_seed(1)
    model = Reader()
    window = ids(range(3000, 3030))
    examples = [Example(ids([2040, 3004]), window, ((4, 6),)), Example(ids([2041, 3009]), window, ())]
    batch = collate(examples, np.array([3004]))
    assert batch["matched"][0].nonzero().flatten().tolist() == [4 + 4]
    assert batch["matched"][0, 8] == 1
    assert batch["matched"][1, 4 + 9] == 2
    assert batch["gold"].nonzero().tolist() == [[0, 8, 10]]
    assert batch["allowed"][0, 4, 4 + 19]
    assert not batch["allowed"][0, 4, 4 + 20]
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    losses = []
    for _ in range(12):
        value = loss(model, batch, 0.5)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(value.item())
    assert losses[-1] < losses[0] / 2

    model.eval()
    embedded = model.embed(batch["ids"], batch["kinds"])
    with torch.inference_mode():
        wanted = [part.numpy() for part in model(embedded, batch["matched"], batch["mask"])]
    fed = {"embedded": embedded.numpy(), "matched": batch["matched"].numpy(), "mask": batch["mask"].numpy()}
    for quantised, tolerance in ((False, 1e-3), (True, 2.0)):
        export(model, tmp_path / "reader.onnx", quantised=quantised)
        found = open_graph(tmp_path / "reader.onnx").run(None, fed)
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape
            assert np.abs(one - other).max() < tolerance
    assert (tmp_path / "reader.onnx").stat().st_size < 12_000_000


@pytest.mark.model
def test_what_ships_is_the_mean_of_the_closings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from reader.export import main, mean_of

    paths = [tmp_path / f"closing-{number}.pt" for number in range(3)]
    for path, value in zip(paths, (1.0, 4.0, 2.5), strict=True):
        torch.save({"step": 1, "average": {"w": torch.full((2,), value)}}, path)
    assert mean_of(paths)["w"].tolist() == [2.5, 2.5]
    paths[1].unlink()
    assert main(["--work", str(tmp_path), "--out", str(tmp_path / "reader.onnx")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("reader.export: ")
    assert "closing-1.pt is not there" in told
    assert not (tmp_path / "reader.onnx").exists()
