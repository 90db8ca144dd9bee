"""The project's generator."""
