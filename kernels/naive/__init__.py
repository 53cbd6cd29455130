"""Every kernel as loops over indices, written to be read first. Slow, and obviously right: the oracle of the tests."""
