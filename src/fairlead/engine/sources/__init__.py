"""Where model files come from: a remote place is a list of files and a way to read them; the rest is common."""
