"""What happens to a request between its decoding and its queueing, where a package asks for it: its key, the time and
the features are brought together to the model's inputs, and these are held against the data contract.
"""
