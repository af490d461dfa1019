"""A Hub-compatible server of our own, on loopback, for the real client libraries to talk to."""
