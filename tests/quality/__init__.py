"""What is learned from real corpora is good."""
