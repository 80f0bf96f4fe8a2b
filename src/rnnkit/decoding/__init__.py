"""Decoding: searches and sampling over the stepper protocol, and the commands' work from lines to outputs."""
