"""Texts as vectors, and the exact nearest neighbour of each among all of them."""
