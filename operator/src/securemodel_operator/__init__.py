"""Kubernetes operator for SecureModel."""
