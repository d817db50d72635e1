"""What the tests stand on: private services, a cutting proxy, an independent consumer, trees, shims."""
