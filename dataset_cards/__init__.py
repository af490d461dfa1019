"""Card templates, rendered from a release."""
