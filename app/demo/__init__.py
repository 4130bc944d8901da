"""The demo: an invented company's workspace in an empty store, and the gentle traffic of its applications."""

from app.demo.seeding import point_at, seed
from app.demo.traffic import run_traffic, traffic

__all__ = ["point_at", "run_traffic", "seed", "traffic"]
