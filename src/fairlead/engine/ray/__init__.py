"""Ray: a cluster on this machine or one that runs already, and the models that Ray Serve runs on it."""
