"""The five ways to run engines in a cluster: each module makes what one of them wants, all from the same settings."""
