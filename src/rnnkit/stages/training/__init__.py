"""Commands that train networks and n-gram models."""
