"""WAL to a recovering server, behind a gate.

The engine starts a child process (`python -m engine.feed`), which reads the chosen segments out of the archive ahead of
the server and lays them, checked and cut off at the gate, into a spool folder beside the data directory. The server's
`restore_command` is plain sh that moves them from there. No Python process starts per segment.

feed       the engine's handle: start it, move the gate, read how it stands
orders     what the feed is told (FeedSpec, Gate) and what it tells (FeedStatus)
archive    where a segment lies, whether it is right
spool      the folder between the feed and the server
script     the restore script
serving    the child process
feeding    its worker: asks answered, segments fetched ahead
standing   how it stands, told while the worker may hang
"""
