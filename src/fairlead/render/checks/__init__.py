"""Cross-checks of what is rendered: everything that one object says of another is looked up."""
