"""The second place of a repository: the same copies on another server, over ssh.

places   an address, ssh://user@host:port/path, as ssh and rsync want it
pushing  copies sent there by rsync, held against their originals by checksum, and fetched back
"""
