"""The second place of a repository: the same copies on another server, over ssh.

places    an address, ssh://user@host:port/path, as ssh and rsync want it
rsync     rsync itself, and whether two sides are the same
pushing   copies sent there, held against their originals by checksum
wal       archived WAL sent there
fetching  all of it brought back
sent      what this site has sent, remembered here
standing  what stands there, and what is deleted there
"""
