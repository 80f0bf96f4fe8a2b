"""Commands that convert, inspect, verify and plot artifacts."""
