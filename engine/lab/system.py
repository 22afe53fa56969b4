"""The lab's document system: users, documents, attachments (files under media/<year>/<month>/<day>/), an audit trail.

The audit trail says who looked at, made and edited which document. It does not speak of attachments: after the
accident nothing in the data tells when they were lost.
"""

import hashlib
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.postgres.connecting import Connection
from engine.records.survey import OsUser
from engine.system.users import is_root

SCHEMA = """
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL UNIQUE,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE documents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner bigint NOT NULL REFERENCES users,
    title text NOT NULL,
    body text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE attachments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document bigint NOT NULL REFERENCES documents,
    path text NOT NULL UNIQUE,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON attachments (document);
CREATE TABLE audit_trail (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who bigint NOT NULL REFERENCES users,
    action text NOT NULL CHECK (action IN ('login', 'view', 'create', 'edit')),
    document bigint REFERENCES documents
);
CREATE INDEX ON audit_trail (document);
"""

REFERENCES = (
    "SELECT path, size, sha256, attachments.id, document, title FROM attachments "
    "LEFT JOIN documents ON documents.id = document"
)

USERS = 40
DOCUMENTS = 1500
FILED = 300  # attachments that are there from the beginning

VERIFY = (
    "SELECT count(*) > 0 FROM documents",
    "SELECT count(*) > 0 FROM users",
    "SELECT count(*) > 0 FROM audit_trail",
)

_FIRST = ("Anna", "Boris", "Clara", "Dmitri", "Elena", "Galina", "Hugo", "Irina", "Jakob", "Katya", "Leon", "Olga")
_LAST = ("Berg", "Chernov", "Dahl", "Egorov", "Fischer", "Gromov", "Hansen", "Jansen", "Kozlova", "Lind", "Morozov")
_KINDS = ("Contract", "Invoice", "Minutes", "Report", "Letter", "Drawing", "Permit", "Order", "Survey", "Deed")
_ABOUT = ("Harbour Road 12", "north wing", "supplier audit", "pump station", "annual review", "land register")
_ENDINGS = ("pdf", "tif", "docx", "xlsx", "jpg")


def title(dice: random.Random) -> str:
    return f"{dice.choice(_KINDS)} {dice.randint(100, 9999)}, {dice.choice(_ABOUT)}"


def text(dice: random.Random) -> str:
    """A document's body: text that compresses as text does."""
    words = [dice.choice((*_KINDS, *_ABOUT, *_FIRST, *_LAST)) for _ in range(dice.randint(40, 400))]
    return " ".join(words)


def fill(connection: Connection, media: Path, owner: OsUser, dice: random.Random) -> None:
    """The schema, and what the system holds when its recorded life begins."""
    connection.execute(SCHEMA)
    people = [
        (f"{first.lower()}.{last.lower()}", f"{first} {last}")
        for first, last in dice.sample([(first, last) for first in _FIRST for last in _LAST], USERS)
    ]
    now = datetime.now(UTC)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO users (login, name, created_at) VALUES (%s, %s, %s)", [
            (login, name, now - timedelta(days=800)) for login, name in people
        ])  # fmt: skip
        with cursor.copy("COPY documents (owner, title, body, created_at, changed_at) FROM STDIN") as rows:
            for number in range(DOCUMENTS):
                made = now - timedelta(days=700 * (1 - number / DOCUMENTS) + 1)
                rows.write_row((dice.randint(1, USERS), title(dice), text(dice), made, made))
        with cursor.copy("COPY attachments (document, path, size, sha256, added_at) FROM STDIN") as rows:
            for number in range(FILED):
                added = now - timedelta(days=90 * (1 - number / FILED) + 1)
                path, size, digest = add_file(media, owner, added, dice)
                rows.write_row((dice.randint(1, DOCUMENTS), path, size, digest, added))
    connection.execute("VACUUM ANALYZE")


def add_file(media: Path, owner: OsUser, when: datetime, dice: random.Random) -> tuple[str, int, str]:
    """Write one attachment file; its path below ``media``, its size, its SHA-256. It appears whole, by a rename."""
    folder = media / f"{when:%Y}" / f"{when:%m}" / f"{when:%d}"
    for place in (folder.parent.parent, folder.parent, folder):
        place.mkdir(exist_ok=True)
        _give(place, owner)
    content = dice.randbytes(dice.randint(500, 24_000))
    name = f"{dice.choice(_KINDS).lower()}-{dice.getrandbits(48):012x}.{dice.choice(_ENDINGS)}"
    draft = folder / f".{name}.part"
    draft.write_bytes(content)
    _give(draft, owner)
    draft.rename(folder / name)
    return str((folder / name).relative_to(media)), len(content), hashlib.sha256(content).hexdigest()


def _give(path: Path, owner: OsUser) -> None:
    if is_root():
        os.chown(path, owner.uid, owner.gid)
