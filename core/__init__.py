"""What decides: the domain, the store, the use cases and the connectors to strangers."""
