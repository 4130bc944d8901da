"""The demo workspace and its traffic."""
