"""The composition root: builds adapters from settings and runs the services of a command."""
