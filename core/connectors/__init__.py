"""Strangers in our words: each module speaks to one kind of outside system."""
