from __future__ import annotations

import io
import tarfile

from nimctl.lab.tarball import File, digest, pack


def test_files_arrive_with_mode_and_root_as_owner():
    packed = io.BytesIO(pack({"/etc/key": File(b"secret", 0o600)}))
    with tarfile.open(fileobj=packed) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode, member.uid, member.gid) == ("etc/key", 0o600, 0, 0)
        assert archive.extractfile(member).read() == b"secret"


def test_the_fingerprint_sees_name_mode_and_content():
    files = {"/a": File(b"1"), "/b": File(b"2")}
    assert digest(files) == digest(dict(reversed(files.items())))
    others = [
        {**files, "/a": File(b"x")},
        {**files, "/a": File(b"1", 0o600)},
        {"/a": File(b"1"), "/c": File(b"2")},
    ]
    assert digest(files) not in {digest(other) for other in others}
