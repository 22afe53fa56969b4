"""Steps that restore a dump: into a fresh database beside the present one, which then steps aside.

common   the plan's loading, a connection to the server
roles    the roles that the dump wants and the cluster lacks
load     the fresh database, filled by pg_restore
ask      the site's questions, asked of the fresh database
swap     the present database renamed aside, the fresh one to its name
"""
