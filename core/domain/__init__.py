"""Pure values and rules: no clock, no chance, no disk, no network."""
