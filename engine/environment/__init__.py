"""The environment: the installation folder or VM image that the system runs in, copied once.

images     packed or registered, listed, held against its checksum, unpacked
"""
