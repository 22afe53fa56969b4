"""The acts of an operator: one function each, and the only place that puts the rooms together.

Command line and screens call these and nothing deeper. All raise RepriseError and nothing else that an operator could
see. Nothing here prints. Slow ones take a progress callback; screens call them from worker threads.

desk        what every act stands on: the site, its file, where runs and the index are kept
founding    the first site file, proposed

Looked at
looking     what there is, what can be reached, what a moment means
browsing    what a snapshot of the files holds, and what differs (listing_child: where its listing is made)
watching    how the five things stand
following   how runs stand
querying    psql on a run's server
reporting   the report of a run as a file, and what all recoveries have taught
writing_runbook  the page for the safe

Brought back, each by a plan and then a run
restoring   the database to a moment: the plan and its checks
loading     the same of a dump
bringing    the same of the users' files
running     starting a run of any plan, and what is said to it
restoring_software  source code and environment, without a run

Copied and kept
archiving   the live cluster's WAL on its way into the archive: set up, tested
streaming   the same by a stream
adopting    unfinished segments, where nobody writes them any more
copying     the plan that takes a copy
second_places  the copies sent there, and fetched back
checking    the users' files held against the database; those that a run could not bring back
proving     copies verified
proving_recovery  proof drills: copies restored and thrown away
drilled     what was proven of each copy, by verifying and by drills
keeping     what the policy lets go, deleted
mounted     whether the folder that is there can be the archive of before
apart       places that are one on disk
scheduling  what of this runs by itself

Practised
practising  the lab, and what an operator does on it
drilling    guided drills in a lab of their own
playing     those that play by themselves
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.acts.adopting import adopt_unfinished as adopt_unfinished
    from engine.acts.archiving import plan_archiving as plan_archiving
    from engine.acts.archiving import prove_archiving as prove_archiving
    from engine.acts.archiving import set_up_archiving as set_up_archiving
    from engine.acts.bringing import plan_files as plan_files
    from engine.acts.browsing import Difference as Difference
    from engine.acts.browsing import Entry as Entry
    from engine.acts.browsing import Listed as Listed
    from engine.acts.browsing import Listing as Listing
    from engine.acts.browsing import Reference as Reference
    from engine.acts.browsing import compare_files as compare_files
    from engine.acts.browsing import content_in as content_in
    from engine.acts.browsing import file_snapshots as file_snapshots
    from engine.acts.browsing import files_of_rows as files_of_rows
    from engine.acts.browsing import list_files as list_files
    from engine.acts.browsing import live_file as live_file
    from engine.acts.browsing import snapshot_at as snapshot_at
    from engine.acts.checking import check_site_files as check_site_files
    from engine.acts.checking import file_findings as file_findings
    from engine.acts.checking import lost_files as lost_files
    from engine.acts.copying import plan_base_backup as plan_base_backup
    from engine.acts.copying import plan_dump as plan_dump
    from engine.acts.copying import plan_image as plan_image
    from engine.acts.copying import plan_media_snapshot as plan_media_snapshot
    from engine.acts.copying import plan_source_copies as plan_source_copies
    from engine.acts.desk import Desk as Desk
    from engine.acts.desk import open_desk as open_desk
    from engine.acts.drilling import HeldDrill as HeldDrill
    from engine.acts.drilling import begin_drill as begin_drill
    from engine.acts.drilling import check_drill as check_drill
    from engine.acts.drilling import drill_hint as drill_hint
    from engine.acts.drilling import drill_scenarios as drill_scenarios
    from engine.acts.drilling import drill_state as drill_state
    from engine.acts.drilling import drills as drills
    from engine.acts.drilling import end_drill as end_drill
    from engine.acts.following import damaged_runs as damaged_runs
    from engine.acts.following import follow as follow
    from engine.acts.following import log_lines as log_lines
    from engine.acts.following import run_state as run_state
    from engine.acts.following import runs as runs
    from engine.acts.founding import Proposal as Proposal
    from engine.acts.founding import propose_site as propose_site
    from engine.acts.keeping import expire as expire
    from engine.acts.loading import plan_dump_restore as plan_dump_restore
    from engine.acts.looking import Moment as Moment
    from engine.acts.looking import View as View
    from engine.acts.looking import look as look
    from engine.acts.looking import moment as moment
    from engine.acts.looking import read_archive as read_archive
    from engine.acts.playing import play_drill as play_drill
    from engine.acts.practising import demo as demo
    from engine.acts.practising import leave_demo as leave_demo
    from engine.acts.proving import proofs as proofs
    from engine.acts.proving import verify as verify
    from engine.acts.proving_recovery import plan_proof_drill as plan_proof_drill
    from engine.acts.proving_recovery import prepare_proof_drill as prepare_proof_drill
    from engine.acts.querying import Psql as Psql
    from engine.acts.querying import hold_psql as hold_psql
    from engine.acts.querying import prepare_psql as prepare_psql
    from engine.acts.reporting import Evidence as Evidence
    from engine.acts.reporting import Learnt as Learnt
    from engine.acts.reporting import all_recoveries as all_recoveries
    from engine.acts.reporting import evidence as evidence
    from engine.acts.reporting import recoveries as recoveries
    from engine.acts.reporting import write_report as write_report
    from engine.acts.restoring import plan as plan
    from engine.acts.restoring_software import restore_image as restore_image
    from engine.acts.restoring_software import restore_source as restore_source
    from engine.acts.running import advance as advance
    from engine.acts.running import cancel as cancel
    from engine.acts.running import discard as discard
    from engine.acts.running import finish as finish
    from engine.acts.running import go_on as go_on
    from engine.acts.running import hold as hold
    from engine.acts.running import open_application as open_application
    from engine.acts.running import resume as resume
    from engine.acts.running import rollback as rollback
    from engine.acts.running import skip as skip
    from engine.acts.running import start as start
    from engine.acts.running import start_server as start_server
    from engine.acts.running import stop_server as stop_server
    from engine.acts.scheduling import install_schedule as install_schedule
    from engine.acts.scheduling import remove_schedule as remove_schedule
    from engine.acts.scheduling import show_schedule as show_schedule
    from engine.acts.second_places import fetch_back as fetch_back
    from engine.acts.second_places import push_all as push_all
    from engine.acts.streaming import stream_wal as stream_wal
    from engine.acts.watching import status as status
    from engine.acts.writing_runbook import WrittenRunbook as WrittenRunbook
    from engine.acts.writing_runbook import write_runbook as write_runbook

_WHERE = {
    "adopting": ("adopt_unfinished",),
    "archiving": ("plan_archiving", "set_up_archiving", "prove_archiving"),
    "bringing": ("plan_files",),
    "browsing": (
        "Difference",
        "Entry",
        "Listed",
        "Listing",
        "Reference",
        "compare_files",
        "content_in",
        "file_snapshots",
        "files_of_rows",
        "list_files",
        "live_file",
        "snapshot_at",
    ),
    "checking": ("check_site_files", "file_findings", "lost_files"),
    "copying": ("plan_base_backup", "plan_dump", "plan_image", "plan_media_snapshot", "plan_source_copies"),
    "desk": ("Desk", "open_desk"),
    "drilling": (
        "HeldDrill",
        "begin_drill",
        "check_drill",
        "drill_hint",
        "drill_scenarios",
        "drill_state",
        "drills",
        "end_drill",
    ),
    "following": ("damaged_runs", "follow", "log_lines", "run_state", "runs"),
    "founding": ("Proposal", "propose_site"),
    "keeping": ("expire",),
    "loading": ("plan_dump_restore",),
    "looking": ("Moment", "View", "look", "moment", "read_archive"),
    "playing": ("play_drill",),
    "practising": ("demo", "leave_demo"),
    "proving": ("proofs", "verify"),
    "proving_recovery": ("plan_proof_drill", "prepare_proof_drill"),
    "querying": ("Psql", "hold_psql", "prepare_psql"),
    "reporting": ("Evidence", "Learnt", "all_recoveries", "evidence", "recoveries", "write_report"),
    "restoring": ("plan",),
    "restoring_software": ("restore_image", "restore_source"),
    "running": (
        "advance",
        "cancel",
        "discard",
        "finish",
        "go_on",
        "hold",
        "open_application",
        "resume",
        "rollback",
        "skip",
        "start",
        "start_server",
        "stop_server",
    ),
    "scheduling": ("install_schedule", "remove_schedule", "show_schedule"),
    "second_places": ("fetch_back", "push_all"),
    "streaming": ("stream_wal",),
    "watching": ("status",),
    "writing_runbook": ("WrittenRunbook", "write_runbook"),
}
_HOME = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    """An act, from its module, imported when first asked for: a screen that only looks never pays for psycopg."""
    if name not in _HOME:
        raise AttributeError(f"module 'engine.acts' has no attribute {name!r}")
    return getattr(importlib.import_module(f"engine.acts.{_HOME[name]}"), name)
