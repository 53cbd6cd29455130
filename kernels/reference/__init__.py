"""Every kernel in plain NumPy, written to be read: the definition of right, for float32 and float64."""
