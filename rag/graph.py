"""A loaded sentence-transformers model to a function that runs it, and to an ONNX file; the only import of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.types import Floats, Ints

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Run = Callable[[Ints, Ints], tuple[Floats, Floats]]  # token ids and mask (n, length) -> (n, d), (n, length, d)


def torch_run(loaded: SentenceTransformer, inputs: Sequence[str]) -> tuple[Run, Any]:
    """A loaded model to a function that runs it, and the module that an export traces."""
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded

        def forward(self, *given: Any) -> tuple[Any, Any]:
            out = self.model(dict(zip(inputs, given, strict=True)))
            unit = torch.nn.functional.normalize(out["sentence_embedding"], dim=-1)
            return unit, out["token_embeddings"]

    graph = Graph().eval()

    def run(ids: Ints, mask: Ints) -> tuple[Floats, Floats]:
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        with torch.inference_mode():
            vectors, states = graph(*(torch.from_numpy(fed[name]) for name in inputs))
        return vectors.float().numpy(), states.float().numpy()

    return run, graph


def write_graph(graph: Any, inputs: Sequence[str], path: Path) -> None:
    """A module that `torch_run` gave to an ONNX file with the outputs `sentence_embedding` and `token_embeddings`.

    Attention is written out ("eager"): torch's own is exported with a guard against rows that see nothing, which
    takes a tenth of the graph's time and no row needs, since each sees itself.
    """
    import warnings

    import torch

    example = tuple(torch.ones((2, 8), dtype=torch.int64) for _ in inputs)
    axes = {0: "batch", 1: "length"}
    outputs = {"sentence_embedding": {0: "batch"}, "token_embeddings": axes}
    with warnings.catch_warnings(), torch.inference_mode(), _eager(graph):
        warnings.simplefilter("ignore")  # the tracer's remarks; the probe decides
        torch.onnx.export(
            graph,
            example,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**dict.fromkeys(inputs, axes), **outputs},
            opset_version=17,
            dynamo=False,
        )


@contextmanager
def _eager(graph: Any) -> Iterator[None]:
    """A module whose transformers write their attention out, for as long as this lasts."""
    models = [module for module in graph.modules() if hasattr(module, "set_attn_implementation")]
    before = [model.config._attn_implementation for model in models]
    for model in models:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for model, kind in zip(models, before, strict=True):
            model.set_attn_implementation(kind)
