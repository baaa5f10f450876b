"""Every NVML error has a meaning; what pynvml says of them is read here, the library itself in the contract tests."""

from __future__ import annotations

import pynvml

from trimtab_agent.nvml import MEANINGS, Meaning


def test_every_error_code_of_pynvml_has_a_meaning() -> None:
    codes = {value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_") and isinstance(value, int)}
    assert codes - MEANINGS.keys() == set()


def test_only_a_missing_library_or_module_means_that_there_is_no_driver() -> None:
    missing = {code for code, meaning in MEANINGS.items() if meaning is Meaning.NO_DRIVER}
    assert missing == {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
