"""What the choice of rows is worth, where a grammar knows the truth: `docs/evidence.md`."""
