"""How artefacts lie on disk: atomic writes, manifests, locks, the workspace."""
