"""Annotators: one a file, each a group of columns stored beside the shards."""
