"""Promises of the connectors: what strangers say, in our words."""
