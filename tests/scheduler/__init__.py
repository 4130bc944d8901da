"""The scheduler, as threads and as real processes."""
