"""What was verified, when, and with which result: one small JSON file for each copy, below the state folder, and one
for what the last proof drill that restored it came to: it never stands for a copy read to its end. And one for each
site whose last proof drill was refused: nobody may have seen that."""

import hashlib
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from engine.records.coding import from_json, to_json
from engine.records.copies import Catalog
from engine.records.copying import Proof, RefusedProof
from engine.records.errors import RepriseError
from engine.transfer.durable import put_file

_REFUSED = "refused-proofs"

Proofs = dict[tuple[str, str, str], Proof]  # by kind, repository, id


def key_of(proof: Proof) -> tuple[str, str, str]:
    return _drilled(proof.kind) if proof.drill is not None else proof.kind, proof.repository, proof.id


def _drilled(kind: str) -> str:
    return f"{kind} in a drill"


def of_copies(proofs: Proofs, catalog: Catalog) -> Proofs:
    """Those of the archived WAL and of the copies in a catalog. A copy that began after its proof has taken the place
    of another that had its name: nothing was proven of it."""
    began: dict[tuple[str, str, str], datetime | None] = {}
    began |= {("base", each.repository, each.id): each.started_at for each in catalog.base_backups}
    began |= {("dump", each.repository, each.id): each.started_at for each in catalog.dumps}
    began |= {("media", each.repository, each.id): each.started_at for each in catalog.media_snapshots}
    began |= {("source", str(each.path.parent), each.id): each.started_at for each in catalog.sources}
    began |= {("image", str(each.path.parent), each.id): each.started_at for each in catalog.images}

    def counts(proof: Proof) -> bool:
        copy = (proof.kind, proof.repository, proof.id)
        at = began.get(copy)
        return proof.kind == "wal" or (copy in began and (at is None or at <= proof.at))

    return {key: proof for key, proof in proofs.items() if counts(proof)}


def one_for_each(proofs: Proofs) -> list[Proof]:
    """Of each copy one: a verifying that found damage, else the newest."""
    found: dict[tuple[str, str, str], Proof] = {}
    for proof in sorted(proofs.values(), key=lambda each: (each.drill is None and each.ok is False, each.at)):
        found[proof.kind, proof.repository, proof.id] = proof
    return list(found.values())


def read_proofs(state: Path) -> Proofs:
    """The last proof of each copy. What cannot be read counts as never proven."""
    found: Proofs = {}
    with suppress(OSError):
        for path in (state / "proofs").glob("*.json"):
            with suppress(OSError, msgspec.DecodeError, ValueError):
                proof = from_json(path.read_bytes(), Proof)
                found[key_of(proof)] = proof
    return found


def failed_ids(proofs: Proofs, kind: str, repository: str) -> frozenset[str]:
    """The copies of a repository whose last verifying found damage."""
    return frozenset(proof.id for key, proof in proofs.items() if key[:2] == (kind, repository) and proof.ok is False)


def keep_proof(state: Path, proof: Proof) -> None:
    """Remember it in place of an earlier one. Raises RepriseError where the state folder cannot take it."""
    _keep(state / "proofs", _name(key_of(proof)), proof)


def _keep(folder: Path, name: str, record: object) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_file(folder / f"{name}.json", to_json(record))
    except OSError as error:
        raise RepriseError(
            f"what was verified cannot be kept in {folder}", cause=error.strerror, remedy="make room there"
        ) from None


def keep_refusal(state: Path, site: str, refused: RefusedProof) -> None:
    """Remember it in place of an earlier one. Raises RepriseError where the state folder cannot take it."""
    _keep(state / _REFUSED, _name((site,)), refused)


def forget_refusal(state: Path, site: str) -> None:
    """A later proof drill was not refused."""
    with suppress(OSError):
        (state / _REFUSED / f"{_name((site,))}.json").unlink(missing_ok=True)


def read_refusal(state: Path, site: str) -> RefusedProof | None:
    """That the last proof drill of a site was refused; None where it was not, or nobody can tell."""
    with suppress(OSError, msgspec.DecodeError, ValueError):
        return from_json((state / _REFUSED / f"{_name((site,))}.json").read_bytes(), RefusedProof)
    return None


def _name(key: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(key).encode("utf-8", "surrogateescape")).hexdigest()[:32]
