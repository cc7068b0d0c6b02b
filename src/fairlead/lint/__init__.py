"""What is wrong with other people's manifests. Pure: parsed documents in, findings out; files are read in `ops`."""
