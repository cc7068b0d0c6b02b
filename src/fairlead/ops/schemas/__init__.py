"""Definitions of custom kinds, brought from a cluster, from releases or from a folder, and kept in the user's cache."""
