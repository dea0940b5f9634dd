"""Files to what runs them: a graph's session, a tokenizer. The only import of onnx, onnxruntime and tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer


def open_graph(path: Path, changes: Path | None = None) -> InferenceSession:
    """An ONNX file, its weights changed if `changes` says so, to a session on the CPU, which threads may share."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the cores
    graph = str(path) if changes is None else changed(path, changes)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def changed(path: Path, changes: Path) -> bytes:
    """An ONNX file and a file of arrays by name to the ONNX file with other weights.

    An array replaces the graph's array of that name. `w.down` (in, r), `w.scale` (r,) and `w.up` (r, out) are a
    product that is added to the int8 weight w, `w_quantized` (in, out) and `w_scale` (out,), which is rounded anew.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    held = {array.name: array for array in model.graph.initializer}
    with np.load(changes, allow_pickle=False) as file:
        new = dict(file)
    for name in [name.removesuffix(".down") for name in new if name.endswith(".down")]:
        down, scale, up = (new.pop(f"{name}.{part}").astype(np.float32) for part in ("down", "scale", "up"))
        steps = numpy_helper.to_array(held[f"{name}_scale"])
        weights = numpy_helper.to_array(held[f"{name}_quantized"]) * steps + (down * scale) @ up
        steps = np.abs(weights).max(axis=0) / 127
        new |= {f"{name}_scale": steps, f"{name}_quantized": np.rint(weights / steps).astype(np.int8)}
    for name, array in new.items():
        held[name].CopyFrom(numpy_helper.from_array(array, name))
    graph: bytes = model.SerializeToString()
    return graph


def open_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizer.json` to a tokenizer that neither cuts nor pads."""
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
