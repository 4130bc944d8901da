"""What people and programs touch: it translates, and decides nothing."""

__version__ = "0.1.0"
