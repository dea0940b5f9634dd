"""The closings of the training to the ONNX file that ships, in int8: `python -m reader.export --work DIR`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from eval.report import reported
from rag import RagError
from reader.model import WIDTH, Reader
from reader.train import CHECKPOINT, CLOSINGS, HERE


class Graph(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The model from behind its embedding layer, as it is exported."""

    def __init__(self, model: Reader) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedded: Tensor, matched: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Reader.forward`."""
        found: tuple[Tensor, Tensor, Tensor] = self.model(embedded, matched, mask)
        return found


def export(model: Reader, out: Path, *, quantised: bool = True) -> None:
    """A trained model to an ONNX file with the inputs embedded, matched, mask and the outputs spans, none, answerable.

    Quantised: the layers' weights are int8, per channel, and their products are computed in int8.
    """
    model.eval()
    example = (torch.zeros(2, 8, WIDTH), torch.zeros(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64))
    axes = {0: "batch", 1: "length"}
    dynamic: dict[str, dict[int, str]] = dict.fromkeys(("embedded", "matched", "mask"), axes)
    dynamic |= {"spans": {**axes, 2: "length"}, "none": {0: "batch"}, "answerable": {0: "batch"}}
    with TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        full = Path(scratch) / "full.onnx"
        torch.onnx.export(
            Graph(model), example, str(full), input_names=["embedded", "matched", "mask"],
            output_names=["spans", "none", "answerable"], dynamic_axes=dynamic, opset_version=17, dynamo=False,
        )  # fmt: skip
        if not quantised:
            out.write_bytes(full.read_bytes())
            return
        quantize_dynamic(
            str(full), str(out), per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
        )


def mean_of(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Checkpoints to the mean of their averaged weights. Raises RagError when one is not there."""
    if missing := [str(path) for path in checkpoints if not path.exists()]:
        raise RagError(f"{missing[0]} is not there: run `python -m reader.train --data DIR` to its end first")
    weights = [torch.load(path, weights_only=True)["average"] for path in checkpoints]
    return {name: torch.stack([one[name] for one in weights]).mean(dim=0) for name in weights[0]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Arguments to an exit status: 0, or 2 when something given is wrong (said in a line)."""
    parser = argparse.ArgumentParser(prog="python -m reader.export", description="Export the trained reader.")
    parser.add_argument("--work", type=Path, default=HERE / "training", metavar="DIR")
    parser.add_argument("--out", type=Path, default=HERE / "reader.onnx", metavar="FILE")
    options = parser.parse_args(arguments)
    return reported("reader.export", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    weights = mean_of([options.work / CHECKPOINT.format(number) for number in range(len(CLOSINGS))])
    model = Reader()
    model.load_state_dict(weights)
    export(model, options.out)
    sys.stdout.write(f"wrote {options.out}: {options.out.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
