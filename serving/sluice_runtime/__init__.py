"""The serving process of a model pod and the steps that run before it. Never imports the operator."""

import os

# No part of a model pod phones home. ONNX Runtime reports model names and hashes to its maker by default (its Linux
# builds since 1.29), BentoML reports usage; both read these when they are imported, so they are set before anything is.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
