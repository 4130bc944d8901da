"""The routes of the API, by noun: each translates one request into one call of a service."""
