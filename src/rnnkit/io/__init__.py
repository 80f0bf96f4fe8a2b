"""Files on disk: atomic writes, manifests, locks, safe reading, the workspace."""
