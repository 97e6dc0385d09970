"""The servers the runtime is compared with, each as its documentation shows it, and the echoes that are the ceiling.

They run in environments of their own, as processes of their own. `BENCH_MODEL` names the ONNX file.
"""
