"""The protocols that a SecureModel can name, a row each; the first is the default."""

PROTOCOLS = (
    "SecureNN",
    "ASTRA",
)
