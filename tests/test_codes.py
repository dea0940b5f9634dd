"""Codes against the rows that they stand for: exact sums, errors within bounds, any dimension, everywhere the same."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from rag import codes
from rag.codes import BITS, NOISE, QUANTISERS, bits, cosines, encode, width
from rag.types import Floats

DIMENSIONS = [1, 2, 3, 7, 8, 31, 32, 48, 50, 96, 100, 191, 192, 256, 383, 384, 385, 512, 768, 1024]


def unit(count: int, dimension: int, seed: int = 0) -> Floats:
    """Random unit rows."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    made: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def decoded(made: codes.Codes, dimension: int) -> Floats:
    """Codes to rows, bit by bit."""
    number = bits(dimension)
    step, lost = QUANTISERS[number]
    rows = []
    for code in made:
        digits = "".join(f"{byte:08b}" for byte in code.tolist())
        levels = [int(digits[k * number : (k + 1) * number], 2) for k in range(dimension)]
        rows.append([(level + 0.5 - 2 ** (number - 1)) * step / (1 - lost) / dimension**0.5 for level in levels])
    return np.array(rows, np.float32)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_map_only_turns(dimension: int) -> None:
    turn = codes._turn(dimension)
    assert turn.dtype == np.float32
    assert np.abs(turn @ turn.T - np.eye(dimension)).max() < 1e-5


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_bits_and_bytes(dimension: int) -> None:
    made = encode(unit(5, dimension))
    assert (made.shape, str(made.dtype)) == ((5, width(dimension)), "uint8")
    assert 8 * width(dimension) >= min(BITS, 8 * dimension)
    assert width(dimension) == -(-dimension * bits(dimension) // 8)


def test_the_packaged_models_rows_have_a_bit_a_dimension() -> None:
    assert [(bits(d), width(d)) for d in (384, 768, 383, 192, 96, 48, 32)] == [
        (1, 48), (1, 96), (2, 96), (2, 48), (4, 48), (8, 48), (8, 32),
    ]  # fmt: skip


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_cosines_equal_those_of_the_decoded_rows(dimension: int) -> None:
    made, asked = encode(unit(20, dimension)), unit(6, dimension, seed=1)
    expected = decoded(made, dimension) @ (asked @ codes._turn(dimension)).T
    found = cosines(made, asked)
    assert (found.shape, str(found.dtype)) == ((20, 6), "float32")
    assert np.abs(found - expected.clip(-1, 1)).max() < 1e-5


@pytest.mark.parametrize("dimension", [d for d in DIMENSIONS if 8 * d >= BITS])
def test_errors_are_within_the_noise_and_even_out(dimension: int) -> None:
    rows, asked = unit(2000, dimension), unit(20, dimension, seed=1)
    errors = cosines(encode(rows), asked) - rows @ asked.T
    assert errors.std() < 1.02 * NOISE
    assert abs(errors.mean()) < NOISE / 20
    assert np.abs(errors).max() < 6 * NOISE


@pytest.mark.parametrize("dimension", [8, 32, 47])
def test_short_rows_are_nearly_exact(dimension: int) -> None:
    rows, asked = unit(500, dimension), unit(20, dimension, seed=1)
    assert np.abs(cosines(encode(rows), asked) - rows @ asked.T).max() < 0.03


@pytest.mark.parametrize("true", [0.0, 0.3, 0.6, 0.9])
def test_a_cosine_is_right_on_average(true: float) -> None:
    asked, other = unit(400, 384), unit(400, 384, seed=1)
    other -= (other * asked).sum(axis=1, keepdims=True) * asked
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    rows = true * asked + (1 - true**2) ** 0.5 * other
    found = np.array([cosines(encode(row[None]), query[None])[0, 0] for row, query in zip(rows, asked, strict=True)])
    assert found.mean() == pytest.approx(true, abs=4 * NOISE / 400**0.5)


def test_a_row_along_an_axis_is_no_exception() -> None:
    """Which signs alone, without turning, would have taken for any other."""
    rows = np.eye(384, dtype=np.float32)
    found = cosines(encode(rows), rows)
    assert found.diagonal().min() > 0.8
    assert (found - np.diag(found.diagonal())).max() < 6 * NOISE


def test_cosines_stay_cosines() -> None:
    rows = unit(300, 384)
    found = cosines(encode(rows), rows)
    assert found.max() <= 1
    assert found.min() >= -1


@pytest.mark.parametrize(("count", "asked"), [(0, 3), (4, 0), (1, 1)])
def test_few_rows_or_none(count: int, asked: int) -> None:
    assert encode(unit(count, 384)).shape == (count, 48)
    assert cosines(encode(unit(count, 384)), unit(asked, 384)).shape == (count, asked)


def test_a_code_depends_on_its_row_alone() -> None:
    rows = unit(64, 384)
    assert (encode(rows) == np.concatenate([encode(row[None]) for row in rows])).mean() > 0.999


def test_a_zero_row_and_a_long_one_are_no_error() -> None:
    rows = np.stack([np.zeros(32), np.full(32, 9.0)]).astype(np.float32)
    assert np.isfinite(cosines(encode(rows), unit(2, 32))).all()


@pytest.mark.parametrize("dimension", [32, 384])
def test_the_turn_is_the_same_everywhere(dimension: int) -> None:
    """An index is read where it was not built: the first figures, worked out here without numpy's generators."""
    stream = "".join(f"{byte:08b}" for byte in hashlib.shake_256(b"footnote").digest(-(-dimension // 4)))
    signs = [1 if bit == "1" else -1 for bit in stream]

    def transform(row: int, column: int) -> float:
        scale = (1 if column == 0 else 2) / dimension
        return float(np.sqrt(scale) * np.cos(np.pi / dimension * (row + 0.5) * column))

    for row, column in [(0, 0), (1, 5), (dimension - 1, 3)]:
        expected = sum(
            signs[row] * transform(row, k) * signs[dimension + k] * transform(k, column) for k in range(dimension)
        )
        assert codes._turn(dimension)[row, column] == pytest.approx(expected, abs=1e-6)
