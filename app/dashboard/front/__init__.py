"""What stands before the dashboard's pages: signing in and out, the gate, headers, compressed files."""
