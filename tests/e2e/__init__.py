"""End-to-end tests on a real Kubernetes, with real models: given, when, then."""
