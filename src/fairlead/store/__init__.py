"""State: keys, the usage ledger and its journal."""
