"""How much of what: memory, speed and their uncertainty. Pure: no clock, no files but the package's own data."""
