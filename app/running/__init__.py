"""How the parts are run as processes of their own, on one machine, and stopped together."""
