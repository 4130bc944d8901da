"""Documents are tested too."""
