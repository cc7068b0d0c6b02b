"""The measuring rig: a mock upstream and a load generator in C, and the meters that read `/proc`."""
