"""Where things are kept: one SQLModel store, the same on SQLite and PostgreSQL."""
