"""The serving process of a model pod and the steps that run before it. Never imports the operator."""
