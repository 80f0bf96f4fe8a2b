"""Quality of models trained on real corpora."""
