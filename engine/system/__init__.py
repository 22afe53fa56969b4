"""The operating system: its users, and any program run to its end. Who starts PostgreSQL's own programs: `postgres/`.

users     who we are, whom a program runs as, what such a user can reach
programs  one program, run to its end as another user, in a clean environment, with a time limit
ours      modules of this program as programs of their own
operator  who sits at the keyboard, and what the machine runs
sparing   a process that lets others go first
births    when a folder was made: which one it is, when its inode tells no more
dying     a process that ends with the one that started it
"""
