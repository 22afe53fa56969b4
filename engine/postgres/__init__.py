"""The only room that starts PostgreSQL's programs and connects to its servers.

programs    which PostgreSQL there is: the machine's, the site's, the embedded build
running     one of its programs, run to its end
server      one server: started so that it outlives us, watched, stopped
processes   what the operating system knows of a running server
databases   databases and roles of a live server: made, renamed, dropped
libraries   the library files that functions call, found as the server finds them
psql        psql for a person: it gets the terminal
asking      a query of the operator's own, whatever number of rows it has
connecting  a connection over a Unix socket, also as root where the server wants peer authentication
"""
