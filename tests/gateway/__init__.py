"""Promises of the data plane: what a caller gets, and what it never notices."""
