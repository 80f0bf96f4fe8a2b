"""One loop for everything that trains, and what it needs: optimisers, schedules, resume, signals."""
