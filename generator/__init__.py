"""The mock market."""
