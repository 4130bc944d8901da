"""How a checkout sets itself up: with the standard library alone, before anything else can be imported."""
