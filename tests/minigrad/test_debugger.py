"""A debugger in an operation's backward sees plain arrays."""

import subprocess
import sys
from pathlib import Path

from minigrad.ops import Conv2d

PROGRAM = """
import numpy as np
from minigrad import Tensor, functional as F
x = Tensor(np.ones((1, 1, 3, 3), np.float32), requires_grad=True)
F.conv2d(x, Tensor(np.ones((1, 1, 2, 2), np.float32), requires_grad=True)).sum().backward()
"""


def test_a_breakpoint_in_backward_shows_arrays_and_the_operation(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    code = Conv2d.backward.__code__
    place = f"{code.co_filename}:{code.co_firstlineno + 5}"
    commands = [f"break {place}", "continue", "p grad", "p g.shape", "p self", "p type(x)", "quit"]
    given = [part for command in commands for part in ("-c", command)]
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-m", "pdb", *given, str(program)], capture_output=True, text=True, cwd=root, input="",
        env={"MINIGRAD_BACKEND": "reference", "PYTHONPATH": str(root), "PATH": ""},
    )  # fmt: skip
    said = result.stdout
    assert "array([[[[1., 1.],\n         [1., 1.]]]], dtype=float32)" in said
    assert "(1, 2, 2, 1)" in said
    assert "<Conv2d>" in said
    assert "<class 'numpy.ndarray'>" in said
