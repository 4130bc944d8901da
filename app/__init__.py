"""What people and programs touch: it translates, and decides nothing."""
