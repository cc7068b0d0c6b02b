"""What the user says: typed, frozen, and checked with file, line and hint. Pure but for reading the file."""
