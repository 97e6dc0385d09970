"""The protocol's messages. `open_inference_pb2` is made from the .proto beside it; `make generate` makes it anew."""
