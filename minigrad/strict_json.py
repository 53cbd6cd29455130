"""JSON from files that may come from anywhere: what is not exactly JSON is an error, and nothing is guessed."""

import json
import math
from typing import Any

from minigrad.messages import shown


def parse(text: str | bytes) -> Any:
    """The value that a JSON text (RFC 8259) stands for; bytes are UTF-8.

    ValueError, saying what is wrong, if it is none. That goes for what Python's reader would let pass, too: a name that
    stands twice in an object, NaN and infinities, numbers beyond float64 or 64 bits, and brackets nested too deep to
    follow.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        return json.loads(
            decoded, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except RecursionError:
        raise ValueError("brackets are nested too deep") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{shown(name)} stands there twice")
        result[name] = value
    return result


def _constant(name: str) -> float:
    raise ValueError(f"given {name}, which JSON does not have")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"given {text[:40]}, a number beyond float64")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError(f"given {text[:40]}, an integer beyond 64 bits")
    return int(text)
