"""Work beside the tests, on the cores that they leave idle: other programs that compile, or run tests of their own.

A test module that has such work starts it in a function `in_background(items)`, which is called with its items before
the first test runs (tests/conftest.py), and waits for the results where it needs them.
"""

import os
from concurrent.futures import ThreadPoolExecutor

environment = dict(os.environ)
"""As it was before the first test: tests change it for themselves while the other programs start."""
pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1))
