"""From rows to a release: what a build rests on, and the files that it writes."""
