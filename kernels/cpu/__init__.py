"""Every kernel in Numba: compiled on first use, on all cores, float32."""
