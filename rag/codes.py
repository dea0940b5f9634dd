"""Unit rows to codes of a few bits a dimension, and codes to their cosines with other rows, which stay exact.

A row is turned by a fixed orthogonal map that spreads what it holds evenly over its dimensions, whatever the model:
each figure then is nearly normal with variance 1 / d, so one quantiser fits all. Codes have one bit a dimension,
the sign, where there are BITS dimensions or more; rows of fewer get 2, 4 or 8, so that short ones are not coarse.
A code's cosine is right on average, with a standard deviation of NOISE or less. Nothing is trained, so a code depends
on nothing but its row. What codes cost in retrieval is in `eval/LOG.md`.

Source: RaBitQ (Gao and Long, 2024), without its factor for each row, which for unit rows is nearly the same for all;
the quantisers are Max's uniform ones for normal variables (1960).
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rag.types import Floats

Codes = NDArray[np.uint8]

BITS = 384  # a row's, at the least, as far as eight a dimension suffice
NOISE = 0.0386  # the standard deviation of a code's cosines: sqrt((pi / 2 - 1) / 384)
# Bits a dimension: the quantiser's step for a unit normal variable, and the variance that it leaves.
QUANTISERS = {1: (1.5958, 0.3634), 2: (0.9957, 0.1188), 4: (0.3352, 0.01154), 8: (0.0308, 0.0001)}
_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)  # (256, 8): their bits


def bits(dimension: int) -> int:
    """A row's dimension to the bits that each of its figures gets."""
    return next((number for number in QUANTISERS if number * dimension >= BITS), max(QUANTISERS))


def width(dimension: int) -> int:
    """A row's dimension to the bytes of its code."""
    return -(-bits(dimension) * dimension // 8)


def encode(rows: Floats) -> Codes:
    """Unit rows (n, d) to their codes (n, width(d)): the figures' bits, the highest first; zeros fill the last byte."""
    dimension = rows.shape[1]
    number = bits(dimension)
    steps = np.floor(rows @ _turn(dimension) * (dimension**0.5 / QUANTISERS[number][0]))
    levels = np.clip(steps + 2 ** (number - 1), 0, 2**number - 1).astype(np.uint8)
    each = (levels[:, :, None] >> np.arange(number, dtype=np.uint8)[::-1]) & 1
    return np.packbits(each.reshape(len(rows), dimension * number), axis=1)


def cosines(codes: Codes, rows: Floats) -> Floats:
    """Codes (n, width(d)) and unit rows (t, d) to their cosines (n, t), from -1 to 1.

    They are sums over the codes' bytes: what each of a byte's 256 values adds is worked out once, then looked up.
    """
    dimension = rows.shape[1]
    number = bits(dimension)
    step, lost = QUANTISERS[number]
    turned = rows @ _turn(dimension) * (step / (1 - lost) / dimension**0.5)
    places = np.tile(2 ** np.arange(number)[::-1], dimension)  # what each bit counts
    by_bit = np.zeros((len(rows), 8 * width(dimension)), np.float32)
    by_bit[:, : len(places)] = np.repeat(turned, number, axis=1) * places
    shares = _BYTES @ by_bit.reshape(len(rows), width(dimension), 8).transpose(1, 2, 0)  # (bytes, 256, t)
    found = np.tile(turned.sum(axis=1) * np.float32(0.5 - 2 ** (number - 1)), (len(codes), 1))
    for column, share in zip(np.ascontiguousarray(codes.T), shares, strict=True):
        found += share.take(column, axis=0)
    return np.clip(found, -1, 1, out=found)


@cache
def _turn(dimension: int) -> Floats:
    """A dimension to an orthogonal map (d, d): twice random signs and a cosine transform, the same everywhere."""
    order = np.arange(dimension)
    transform = np.cos(np.pi / dimension * np.outer(order + 0.5, order)) * (2 / dimension) ** 0.5
    transform[:, 0] *= 0.5**0.5
    drawn = hashlib.shake_256(b"footnote").digest(-(-dimension // 4))
    signs = np.unpackbits(np.frombuffer(drawn, np.uint8))[: 2 * dimension].reshape(2, dimension) * 2.0 - 1
    turn: Floats = (signs[0][:, None] * transform @ (signs[1][:, None] * transform)).astype(np.float32)
    return turn
