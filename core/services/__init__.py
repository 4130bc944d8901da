"""Use cases: each function is one transaction, asked for by an actor, with the time given."""
