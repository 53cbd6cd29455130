"""Benchmarks: every kernel, and whole training steps, verified and then timed beside PyTorch, on the CPU or on a card.

    python -m benchmarks kernels        every kernel on GoogLeNet's shapes, and how near it comes to the machine's limit
    python -m benchmarks train-step     whole steps of training and inference: time, memory, where the time goes
    python -m benchmarks accuracy       the rounding errors of the convolution algorithms
    python -m benchmarks gpu-plan       what training costs a card on paper; needs no card
    python -m benchmarks gpu-check      all that only a machine with a card can show, in one report

They run from the project's root. PyTorch is optional.
"""
