"""Reports: learning curves, attention maps, word maps, model cards, and inspection of artefacts."""
