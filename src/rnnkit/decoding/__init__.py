"""Search, written once against the stepper protocol."""
