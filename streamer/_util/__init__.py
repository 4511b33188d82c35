"""Small tools that know nothing of music; anybody in the streamer may use them.

address: network addresses as people write them · files: a file that is replaced as a whole · process: version and
memory · rate_limit: how often something is taken · stderr: what native libraries print on their own
"""
