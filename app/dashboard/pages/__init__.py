"""One file per page; each reads a read model, draws it, and acts through ``actions``."""
