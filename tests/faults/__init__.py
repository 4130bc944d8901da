"""What is promised when processes, disks and files fail: real ones, killed, filled and damaged."""
