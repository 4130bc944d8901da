"""Whole jobs, done as a person and an application would do them, on real parts."""
