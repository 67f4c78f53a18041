"""The share step: a Keras model becomes a program and three share files, delivered to the
players.
"""
