"""One module a kind of dataset; found by name."""
