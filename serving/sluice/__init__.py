"""The contract between data scientists, the operator and the runtime: light enough to import anywhere.

Nothing here imports ONNX Runtime or BentoML, because the operator and a notebook import it too.
"""

__version__ = "0.1.0"
