"""The graphs' runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.runtime import open_graph


@pytest.mark.model
def test_int8_products_are_exact_on_every_processor(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full((64, 16), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weights"], ["products"])],
        "products",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, ["count", 64])],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["count", 16])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    rows = np.full((5, 64), 255, np.uint8)  # two of these products are more than 16 bits hold
    (products,) = open_graph(tmp_path / "m.onnx").run(None, {"rows": rows})
    assert products.tolist() == (rows.astype(np.int32) @ weights.astype(np.int32)).tolist()
