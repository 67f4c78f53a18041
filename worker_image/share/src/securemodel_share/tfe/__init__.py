"""TF Encrypted: the protocol that records, and what makes 0.9.1 importable."""
