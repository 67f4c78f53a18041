"""What a SecureModel asks for, as typed values."""
