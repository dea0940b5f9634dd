"""Unit rows to codes of 512 bits or so, or to ones of 8 bits a figure, and codes to their cosines with other rows.

A row is turned by a fixed orthogonal map that spreads what it holds evenly over its figures, whatever the model: each
then is nearly normal, so one quantiser fits all. A code is the signs of BITS figures, of as many as the row has if it
has more; rows of few dimensions get 2, 4 or 8 bits a figure instead, so that short ones are not coarse, and where room
is no matter all may have 8. A code's cosine is right on average, with a standard deviation of NOISE or less, of some
thousandths with 8 bits. The other rows stay exact. Nothing is trained, so a code depends on nothing but its row. What
codes cost in retrieval is in `eval/LOG.md`.

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

BITS = 512  # a row's, at the least, as far as eight a dimension suffice
NOISE = 0.0334  # the standard deviation of a code's cosines: sqrt((pi / 2 - 1) / 512)
# Bits a figure: the quantiser's step for a unit normal variable, and the variance that it leaves.
QUANTISERS = {1: (1.5958, 0.3634), 2: (0.9957, 0.1188), 4: (0.3352, 0.01154), 8: (0.0308, 0.0001)}
_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)  # (256, 8): their bits


def bits(dimension: int, *, exact: bool = False) -> int:
    """A row's dimension to the bits that each of its figures gets; exact: as many as there can be."""
    if exact:
        return max(QUANTISERS)
    if 2 * dimension > BITS:
        return 1
    return next((number for number in QUANTISERS if number * dimension >= BITS), max(QUANTISERS))


def figures(dimension: int, number: int) -> int:
    """A row's dimension, and the bits of a figure, to the figures that it is turned into."""
    return max(dimension, BITS) if number == 1 else dimension


def width(dimension: int, number: int) -> int:
    """A row's dimension, and the bits of a figure, to the bytes of its code."""
    return -(-number * figures(dimension, number) // 8)


def encode(rows: Floats, number: int) -> Codes:
    """Unit rows (n, d) to their codes (n, width): the figures' bits, the highest first; zeros fill the last byte."""
    count = figures(rows.shape[1], number)
    steps = np.floor(rows @ _turn(rows.shape[1], count) * (count**0.5 / QUANTISERS[number][0]))
    levels = np.clip(steps + 2 ** (number - 1), 0, 2**number - 1).astype(np.uint8)
    each = (levels[:, :, None] >> np.arange(number, dtype=np.uint8)[::-1]) & 1
    return np.packbits(each.reshape(len(rows), count * number), axis=1)


def cosines(codes: Codes, rows: Floats, number: int) -> Floats:
    """Codes (n, width) and unit rows (t, d) to their cosines (n, t), from -1 to 1.

    They are sums over the codes' bytes: what each of a byte's 256 values adds is worked out once, then looked up; a
    byte that is one figure adds itself times what it weighs.
    """
    dimension = rows.shape[1]
    count, (step, lost) = figures(dimension, number), QUANTISERS[number]
    turned = rows @ _turn(dimension, count) * (step / (1 - lost) / count**0.5)
    middle = turned.sum(axis=1) * np.float32(0.5 - 2 ** (number - 1))
    if number == 8:
        found = codes.astype(np.float32) @ turned.T + middle
    else:
        places = np.tile(2 ** np.arange(number)[::-1], count)  # what each bit counts
        by_bit = np.zeros((len(rows), 8 * codes.shape[1]), np.float32)
        by_bit[:, : len(places)] = np.repeat(turned, number, axis=1) * places
        shares = _BYTES @ by_bit.reshape(len(rows), codes.shape[1], 8).transpose(1, 2, 0)  # (bytes, 256, t)
        found = np.tile(middle, (len(codes), 1))
        for column, share in zip(np.ascontiguousarray(codes.T), shares, strict=True):
            found += share.take(column, axis=0)
    clipped: Floats = np.clip(found, -1, 1, out=found)
    return clipped


@cache
def _turn(dimension: int, count: int) -> Floats:
    """A dimension and a number of figures to an orthogonal map (d, figures): always the same.

    It is twice random signs and a cosine transform.
    """
    order = np.arange(count)
    transform = np.cos(np.pi / count * np.outer(order + 0.5, order)) * (2 / count) ** 0.5
    transform[:, 0] *= 0.5**0.5
    drawn = hashlib.shake_256(b"footnote").digest(-(-count // 4))
    signs = np.unpackbits(np.frombuffer(drawn, np.uint8))[: 2 * count].reshape(2, count) * 2.0 - 1
    turn: Floats = (signs[0][:, None] * transform @ (signs[1][:, None] * transform)).astype(np.float32)
    return turn[:dimension]
