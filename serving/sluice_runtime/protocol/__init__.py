"""The Open Inference Protocol V2. Translation only: every decision is the data plane's."""
