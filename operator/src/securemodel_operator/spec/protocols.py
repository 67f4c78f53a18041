"""The protocols that a SecureModel can name, one row each; the first is the default."""

PROTOCOLS = (
    "SecureNN",
    "ASTRA",
)
