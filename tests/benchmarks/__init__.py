"""How fast it is, shown beside the bare path in the same run. Run by `python3 -m tests bench`; never a timed test."""
