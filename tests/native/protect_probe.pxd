"""Values sealed and opened as Protect does it."""
