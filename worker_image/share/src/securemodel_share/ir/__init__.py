"""The recorded computation, on its way from a model to a program."""
