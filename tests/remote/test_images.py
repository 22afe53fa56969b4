"""A registered VM image at a second place: it is there itself, not only what was noted of it."""

import os
from pathlib import Path

from engine import acts
from engine.remote.places import RemotePlace
from tests.acts.sites import carry_on, make_site


def test_a_registered_image_comes_back_when_it_and_its_store_are_gone(
    vault: tuple[RemotePlace, Path], tmp_path: Path
) -> None:
    image, store, second = tmp_path / "docs.qcow2", tmp_path / "store", vault[0].below("images")
    image.write_bytes(content := os.urandom(1 << 20))
    store.mkdir()
    table = f'[environment]\nimage = "{image}"\nstore = "{{}}"\n'
    site = make_site(tmp_path, table.format(store) + f'second = "{second}"')
    state = carry_on(site.begin(acts.plan_image(site.desk)))
    assert state.outcome == "completed" and state.taken is not None
    name = state.taken.id
    assert (vault[1] / "images" / f"{name}.image").read_bytes() == content
    assert acts.push_all(site.desk, progress=lambda *_: None) == [name]
    image.write_bytes(os.urandom(1 << 20))  # since then it is another, which nobody has registered
    assert carry_on(site.begin(acts.plan_image(site.desk))).outcome == "completed"
    assert (vault[1] / "images" / f"{name}.image").read_bytes() == content
    image.unlink()
    acts.fetch_back(str(second), tmp_path / "back", progress=lambda *_: None)
    site = make_site(tmp_path, table.format(tmp_path / "back"))
    proof, *_ = acts.verify(site.desk, [name])
    assert proof.ok
    acts.restore_image(site.desk, name, tmp_path / "again.qcow2", progress=lambda *_: None)
    assert (tmp_path / "again.qcow2").read_bytes() == content
