"""PostgreSQL's own files, read without PostgreSQL, versions 13 to 18.

control_file   `pg_control`
manifest       `backup_manifest`
backup_label   `backup_label`, `tablespace_map`, the backup history file
history_file   timelines' `.history`
settings_file  `postgresql.conf` and `postgresql.auto.conf`; a block of our own written
pages          data pages and their checksums
"""
