"""Feed a reader with files that come from those it knows, and keep those that lead it somewhere new.

    python -m tests.fuzz READER NEW tests/fuzz/corpus/READER -max_total_time=600    fuzz, into the folder NEW
    python -m tests.fuzz READER tests/fuzz/corpus/READER NEW -merge=1               keep what NEW has of new

What follows READER is for libFuzzer. Needs `pip install -e '.[fuzz]'`. A file that breaks a promise is left in the
current folder as crash-..., timeout-... or oom-...; in the corpus, tests/fuzz/test_readers.py reads it ever after.
"""

import sys
from pathlib import Path

import atheris

LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=4096")
"""Seconds and MiB for one file, and its bytes: what matters in the formats comes early."""
WORDS = Path(__file__).parent / "words.dict"

if __name__ == "__main__":
    with atheris.instrument_imports(include=["minigrad", "PIL", "json", "gzip"]):
        from tests.fuzz.targets import TARGETS
    _, reader, *options = sys.argv
    again = f"{sys.executable} -m tests.fuzz {reader}"  # what libFuzzer calls when it merges
    atheris.Setup([again, *LIMITS, f"-dict={WORDS}", *options], TARGETS[reader])
    atheris.Fuzz()
