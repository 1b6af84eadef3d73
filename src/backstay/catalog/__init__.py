"""The store as the catalog: manifests, intents, leases, proofs, foreign dumps."""
