"""Benchmarks: every kernel, and whole training steps, verified and then timed beside PyTorch.

    python -m benchmarks kernels
    python -m benchmarks train-step

They run from the project's root. PyTorch is optional.
"""
