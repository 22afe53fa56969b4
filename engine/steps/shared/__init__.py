"""What several kinds of steps share.

layout               where the plan has a cluster, how it stands there, files put into its folder
points               the recovery point that the run goes to now (a gate may have been raised since it was planned)
recovering           the recovering server and its feed: started where they do not live, stopped
opening              a server at the gate that takes no connections, waited for once
watching             replay on its way to the gate
server_log           what the recovering server says in its log
resolving_again      --latest, with what was salvaged
promotion            what a promotion that died left behind
production           production's own server: whether it runs, how it was started
production_settings  production's own configuration files, kept and put back
renaming             renames that can be undone, whenever they were interrupted
server_waits         what a server takes its time for, waited for while the run is served
commands             the site's own command lines
children             a long piece of work in a child process, so that the step keeps answering
socket_folder        the folder of a server's socket, made where it is missing
page_reading         every page against its checksum
reading_through      pg_amcheck over a recovered server
"""
