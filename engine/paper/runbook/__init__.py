"""The page for the safe: how the system is brought back, with this program and without it.

It is made anew from the site file and the catalog, for the recovery point of that day. What it says to type is plain sh
and works as it stands; where things go is said by the variables at its head.

book      the page, part by part
facts     what it is made from
shell     paths and lines for a shell, and how they are carried out
beginning the variables that all of it uses
elsewhere copies that are on another server only
database  the database, with PostgreSQL's own programs: up to the server that runs and is looked at
unpacking a base backup, or a chain of them, made into a data directory
fetching_wal  the restore command
switching it takes production's place
others    dumps, users' files, source code, environment
"""

from engine.paper.runbook.book import runbook_page
from engine.paper.runbook.facts import Book, SecondPlace

__all__ = ["Book", "SecondPlace", "runbook_page"]
