"""Files to what runs them: a graph's session, a tokenizer; and a graph to one that computes in int8.

With the reader, the only import of onnxruntime and tokenizers.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer


def open_graph(path: Path) -> InferenceSession:
    """An ONNX file to a session on the CPU, which threads may share."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores
    # Else processors without VNNI add up int8 products in 16 bits, which overflow: other scores than elsewhere.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def write_int8(graph: Path, out: Path) -> None:
    """An ONNX file to another whose weights are int8, per channel, and whose products are computed in int8.

    What is multiplied with the weights is made int8 as it comes, by its own range: nothing is calibrated.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quiet = logging.NullHandler()  # its remarks would set the root logger up, to print everybody's from then on
    logging.root.addHandler(quiet)
    try:
        # given the path, it would write beside it
        quantize_dynamic(onnx.load(graph), out, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.root.removeHandler(quiet)


def open_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizer.json` to a tokenizer that neither cuts nor pads."""
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
