"""What a model may declare, and what is refused with a message that its author understands."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab_engine.model_api import TensorSpec
from trimtab_engine.signature import declare

FIXED = TensorSpec("x", "float32", (3,))
PADDED = TensorSpec("p", "int64", (-1, 2))


def test_a_declaration_becomes_a_signature() -> None:
    signature = declare([FIXED, PADDED], [TensorSpec("y", "bool", (-1,))], 7)
    assert signature.max_length == 7
    assert signature.largest_row_bytes == 3 * 4 + 7 * 2 * 8 + 7
    assert declare([FIXED], [FIXED], None).max_length == 1


@pytest.mark.parametrize(
    ("inputs", "outputs", "max_length", "message"),
    [
        ([], [FIXED], None, r"inputs is \[\]"),
        ([FIXED], (), None, r"outputs is \(\)"),
        (["x"], [FIXED], None, "list of one or more TensorSpec"),
        ([FIXED, FIXED], [FIXED], None, "names a tensor twice"),
        ([TensorSpec("", "float32", ())], [FIXED], None, "a tensor is named ''"),
        ([TensorSpec("a b", "float32", ())], [FIXED], None, "a tensor is named 'a b'"),
        ([TensorSpec("x", "bfloat16", ())], [FIXED], None, "'x' has dtype 'bfloat16'; accepted are bool, "),
        ([TensorSpec("x", "float32", (0,))], [FIXED], None, "sizes above 0"),
        ([TensorSpec("x", "float32", 3)], [FIXED], None, "'x' has shape 3; accepted are sizes above 0"),  # type: ignore[arg-type]
        ([TensorSpec("x", "float32", (-2,))], [FIXED], None, "sizes above 0"),
        ([TensorSpec("x", "float32", (-1, -1))], [FIXED], 3, "-1 at most once"),
        ([PADDED], [FIXED], None, "max_length is None"),
        ([PADDED], [FIXED], 0, "max_length is 0"),
        ([FIXED], [PADDED], 5, "an output has a padded axis"),
    ],
)
def test_what_cannot_be_served_is_refused(inputs: Any, outputs: Any, max_length: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare(inputs, outputs, max_length)
