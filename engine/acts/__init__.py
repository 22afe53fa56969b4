"""The acts of an operator: one function each, and the only place that puts the rooms together.

Command line and screens call these and nothing deeper. All raise RepriseError and nothing else that an operator could
see. Nothing here prints. Slow ones take a progress callback; screens call them from worker threads.
"""

from engine.acts.desk import Desk as Desk
from engine.acts.desk import open_desk as open_desk
from engine.acts.looking import Moment as Moment
from engine.acts.looking import View as View
from engine.acts.looking import look as look
from engine.acts.looking import moment as moment
from engine.acts.looking import read_archive as read_archive
