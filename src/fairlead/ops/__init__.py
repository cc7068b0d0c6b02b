"""Hands: bring a service up and down, and look after it."""
