"""Archives made by an attacker do no harm, and equal packages give equal archives."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.archive import MAX_MEMBERS, extract_archive, write_archive
from sluice.digest import package_digest, package_files
from sluice.failures import PackageError, Reason

MIB = 1024**2


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def refused(archive: Path, target: Path, limit: int = MIB) -> Reason:
    target.mkdir()
    with pytest.raises(PackageError) as caught:
        extract_archive(archive, target, limit)
    return caught.value.reason


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_honest_archive_is_unpacked(mode: str, tmp_path: Path) -> None:
    archive = tar_of(
        tmp_path / "a", [(member("./", tarfile.DIRTYPE), b""), (member("./x"), b"1"), (member("d/y"), b"2")], mode
    )
    (tmp_path / "out").mkdir()
    extract_archive(archive, tmp_path / "out", MIB)
    assert (tmp_path / "out/x").read_bytes() == b"1"
    assert (tmp_path / "out/d/y").read_bytes() == b"2"


@pytest.mark.parametrize(
    "evil",
    [
        member("../evil"),
        member("a/../../evil"),
        member("/tmp/evil"),
        member("a\\..\\evil"),
        member("a\nb"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "x"),
        member("link", tarfile.LNKTYPE, "../../etc/passwd"),
        member("device", tarfile.CHRTYPE),
        member("disk", tarfile.BLKTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.type!r}-{info.name!r}",
)
def test_a_member_that_is_no_plain_file_inside_is_refused(evil: tarfile.TarInfo, tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", [(evil, b"")])
    assert refused(archive, tmp_path / "out") is Reason.UNSAFE_ARCHIVE
    assert os.listdir(tmp_path / "out") == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "members",
    [
        [(member("x"), b"1"), (member("./x"), b"2")],
        [(member("x"), b"1"), (member("x/y"), b"2")],
        [(member("x/y"), b"1"), (member("x"), b"2")],
    ],
)
def test_a_name_that_comes_twice_is_refused(members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path) -> None:
    assert refused(tar_of(tmp_path / "a", members), tmp_path / "out") is Reason.UNSAFE_ARCHIVE


def test_a_bomb_of_one_large_file_stops_at_the_limit(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", [(member("zeros"), bytes(40 * MIB))])
    assert archive.stat().st_size < MIB
    assert refused(archive, tmp_path / "out") is Reason.PACKAGE_TOO_LARGE
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) < 20 * MIB


def test_a_bomb_of_many_files_stops_at_the_limit(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", [(member(f"f{i}"), b"") for i in range(MAX_MEMBERS + 1)])
    assert refused(archive, tmp_path / "out") is Reason.UNSAFE_ARCHIVE


def test_a_bomb_of_folders_stops_at_the_limit(tmp_path: Path) -> None:
    """Few members that imply many folders: the limit is on what is made."""
    archive = tar_of(tmp_path / "a", [(member(f"{i}/" + "a/" * 25 + "f"), b"") for i in range(MAX_MEMBERS // 25)])
    assert refused(archive, tmp_path / "out") is Reason.UNSAFE_ARCHIVE
    made = sum(len(folders) + len(files) for _, folders, files in os.walk(tmp_path / "out"))
    assert made <= MAX_MEMBERS


@pytest.mark.parametrize(
    "name", ["a/" * 32 + "f", "a" * 256, "\u00e4" * 128, "/".join(["a" * 250] * 5), "a" * (MIB // 2)]
)
def test_a_name_that_no_file_system_holds_is_refused(name: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    archive = tar_of(tmp_path / "a", [(member(name), b"")])
    with pytest.raises(PackageError) as caught:
        extract_archive(archive, target, MIB)
    assert caught.value.reason is Reason.UNSAFE_ARCHIVE
    assert len(caught.value.message) < 1000
    assert os.listdir(target) == []


@pytest.mark.parametrize("name", ["a/" * 31 + "f", "a" * 255, "/".join(["a" * 250] * 4)])
def test_a_name_within_the_limits_is_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    extract_archive(tar_of(tmp_path / "a", [(member(name), b"1")]), tmp_path / "out", MIB)
    assert list(package_files(tmp_path / "out")) == [name]


def test_a_bomb_inside_a_header_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    header.size = 8 * MIB
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(header.tobuf(tarfile.PAX_FORMAT) + bytes(8 * MIB))
    assert refused(tmp_path / "a", tmp_path / "out", 64 * MIB) is Reason.UNSAFE_ARCHIVE


def header(kind: bytes, size: int) -> bytes:
    info = member("header", kind)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def sparse(blocks: int) -> bytes:
    """An old sparse file with a map of so many blocks, each of which says that another comes."""
    first = bytearray(header(tarfile.GNUTYPE_SPARSE, 0))
    first[482] = 1
    first[148:156] = b"%06o\0 " % (sum(first) - sum(first[148:156]) + 8 * ord(" "))
    block = (b"00000000001\0" * 42).ljust(504, b"\0") + b"\1".ljust(8, b"\0")
    return bytes(first) + block * blocks


def extended(kind: bytes, key: str) -> bytes:
    """A header of almost a megabyte, of which little is left once it is packed."""
    value = b"%s=%s\n" % (key.encode(), b"a" * 1_000_000)
    record = b"%d %s" % (len(value) + 8, value)
    return header(kind, len(record)) + record.ljust(-(-len(record) // 512) * 512, b"\0")


FOLDER = header(tarfile.DIRTYPE, 0)
HOSTILE = {
    "of-each": ("ok", b"".join(extended(tarfile.XHDTYPE, "k") + FOLDER for _ in range(90))),
    "of-all": ("ok", b"".join(extended(tarfile.XGLTYPE, f"{i:08}") + FOLDER for i in range(90))),
    "in-a-chain": ("UnsafeArchive", extended(tarfile.XHDTYPE, "k") * 90 + FOLDER),
    "empty-in-a-chain": ("UnsafeArchive", header(tarfile.GNUTYPE_LONGNAME, 0) * 2000 + FOLDER),
    "sparse": ("UnsafeArchive", sparse(50_000)),
}


def test_hostile_headers_take_little_memory(tmp_path: Path) -> None:
    for kind, (_, content) in HOSTILE.items():
        with gzip.open(tmp_path / kind, "wb", compresslevel=1) as file:
            file.write(content + bytes(1024))
    program = """
import sys
from pathlib import Path
from sluice.archive import extract_archive
from sluice.failures import PackageError
for archive in map(Path, sys.argv[1:]):
    target = archive.with_name(f"{archive.name}-out")
    target.mkdir()
    try:
        extract_archive(archive, target, 1024**3)
        print("ok")
    except PackageError as error:
        print(error.reason)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
    argv = [sys.executable, "-c", program, *(str(tmp_path / kind) for kind in HOSTILE)]
    *said, peak = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert said == [wanted for wanted, _ in HOSTILE.values()]
    assert int(peak) * 1024 < 100 * 1000**2


def test_a_sparse_file_cannot_claim_more_than_it_holds(tmp_path: Path) -> None:
    sparse = member("sparse")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    with tarfile.open(tmp_path / "a", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        sparse.size = 512
        tar.addfile(sparse, io.BytesIO(b"0\n".ljust(512, b"\0")))
    assert refused(tmp_path / "a", tmp_path / "out") is Reason.UNSAFE_ARCHIVE


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"hello, this is a text file and no archive at all" * 30,
        lambda content: content[: len(content) // 2],
        lambda content: content[:-4],
        lambda content: gzip.compress(gzip.decompress(content)[:700]),
        lambda content: content[:40] + bytes([content[40] ^ 255]) + content[41:],
    ],
    ids=["empty", "text", "cut", "cut-at-the-end", "cut-inside", "flipped"],
)
def test_a_damaged_archive_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a", [(member("x"), os.urandom(5000))])
    archive.write_bytes(damage(archive.read_bytes()))
    assert refused(archive, tmp_path / "out") is Reason.INVALID_PACKAGE


def test_equal_folders_give_equal_archives_and_the_digest_survives(tmp_path: Path) -> None:
    for name, order in (("one", ("a", "b")), ("other", ("b", "a"))):
        (tmp_path / name).mkdir()
        for file in order:
            (tmp_path / name / file).write_text(file)
            os.utime(tmp_path / name / file, (len(name), len(name)))
        write_archive(tmp_path / name, tmp_path / f"{name}.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "other.tar.gz").read_bytes()
    (tmp_path / "out").mkdir()
    extract_archive(tmp_path / "one.tar.gz", tmp_path / "out", MIB)
    assert package_digest(tmp_path / "out") == package_digest(tmp_path / "one")
