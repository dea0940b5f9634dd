"""Citing: exact spans, numbers, verdicts."""

from __future__ import annotations

from rag import Draft, Hit, Passage, SentenceId, Span, Verdict, make_document
from rag.cite import cite

TEXT = "Ça va 😀. “Quoted” 中文。 Last one."
DOCUMENT = make_document(TEXT, id="d")
FIRST, SECOND, THIRD = Span(0, 8), Span(9, 21), Span(22, 31)
HITS = (
    Hit(Passage(DOCUMENT, Span(0, 21), (FIRST, SECOND)), 2.0, (0.9, 0.1)),
    Hit(Passage(DOCUMENT, Span(22, 31), (THIRD,)), 1.0, (0.2,)),
)


def test_supported_claims_are_numbered_in_order_and_resliced() -> None:
    drafts = [
        Draft("Last one.", (SentenceId(1, 0),)),
        Draft("Ça va 😀.", (SentenceId(0, 0),)),
        Draft("Last one.", (SentenceId(1, 0),)),
    ]
    text, claims = cite(drafts, HITS)
    assert text == "Last one. Ça va 😀. Last one."
    assert [text[slice(*claim.span)] for claim in claims] == ["Last one.", "Ça va 😀.", "Last one."]
    assert [claim.verdict for claim in claims] == [Verdict.SUPPORTED] * 3
    assert [[c.number for c in claim.citations] for claim in claims] == [[1], [2], [1]]
    assert [c.quote for claim in claims for c in claim.citations] == [THIRD, FIRST, THIRD]
    for claim in claims:
        for citation in claim.citations:
            assert DOCUMENT.text[slice(*citation.quote)] == citation.text == text[slice(*claim.span)]


def test_a_wrong_pointer_is_corrected_and_says_so() -> None:
    _, (claim,) = cite([Draft("“Quoted” 中文。", (SentenceId(1, 0),))], HITS)
    assert claim.verdict is Verdict.MISATTRIBUTED
    assert [c.quote for c in claim.citations] == [SECOND]


def test_words_that_are_in_no_source_are_unsupported_and_cite_nothing() -> None:
    for draft in (Draft("Last two.", (SentenceId(1, 0),)), Draft("Invented.", ()), Draft("Last", (SentenceId(1, 0),))):
        _, (claim,) = cite([draft], HITS)
        assert (claim.verdict, claim.citations) == (Verdict.UNSUPPORTED, ())


def test_a_pointer_to_nothing_is_ignored() -> None:
    for source in (SentenceId(9, 0), SentenceId(0, 9), SentenceId(-1, 0), SentenceId(0, -1)):
        _, (claim,) = cite([Draft("Nothing.", (source,))], HITS)
        assert claim.verdict is Verdict.UNSUPPORTED
        _, (claim,) = cite([Draft("Last one.", (source,))], HITS)
        assert claim.verdict is Verdict.MISATTRIBUTED


def test_a_claim_that_is_two_sentences_cites_both() -> None:
    _, (claim,) = cite([Draft("Ça va 😀. Last one.", (SentenceId(0, 0), SentenceId(1, 0)))], HITS)
    assert claim.verdict is Verdict.SUPPORTED
    assert [c.quote for c in claim.citations] == [FIRST, THIRD]


def test_no_draft_is_no_text() -> None:
    assert cite([], HITS) == ("", ())
