"""What is changed while the daemon runs."""
