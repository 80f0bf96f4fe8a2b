"""Readers and hostile files: what comes out is an error of rnnkit, in little memory."""
