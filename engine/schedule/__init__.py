"""What runs by itself, and when.

calendar    calendar times, as cron and systemd write them
wanted      what a site's schedule comes to
systemd     installed as systemd's timers
cron        installed as lines of the user's crontab
"""
