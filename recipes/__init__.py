"""Recipes that are ready to run."""
