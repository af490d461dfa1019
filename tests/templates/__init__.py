"""Chat templates of many kinds, tokenizers built for them on the spot, and the table of both."""
