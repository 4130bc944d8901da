"""Tests of what people look at and act through."""
