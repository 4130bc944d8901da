"""The data plane: resolves an alias to the version it is pinned to, asks the provider, passes the answer on."""
