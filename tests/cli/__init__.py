"""Promises of the command line, and of what starts, supervises and stops the parts."""
