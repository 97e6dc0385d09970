"""HTTP/2 as a server, for gRPC: frames, header compression, flow control and bounds, on the loop of everything else.

Of its own, because a general server hands requests over one at a time: here all requests of one read reach the batcher
together, and the answers of one batch leave in one write.
"""
