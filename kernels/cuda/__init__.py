"""Every kernel for CuPy arrays, in CUDA C++.

The sources are the .cu files, one operation each, with common.cuh before them; the .py files are their launchers, one
family each. Read an operation in kernels/reference first: the comments here say only what a card adds. Matrix products
are cuBLAS's, by way of CuPy. A kernel returns as soon as it is launched, on CuPy's current stream; nothing here waits
for the card.
"""

from kernels.cuda.text import sources as sources
