"""The team dashboard: the Django project. Imports point down the list in `.importlinter`."""
