"""The services: siblings that never import each other; `scanner.app` composes them."""
