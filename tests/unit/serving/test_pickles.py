"""No pickle is a part of a package, whatever it is called and whatever it is put into."""

import io
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sluice.failures import PackageError, Reason
from sluice.package import open_package
from sluice.pickles import refuse_pickles
from unit.store.packages import make_package


class Hostile:
    """Runs a command wherever it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[list[str]]]:
        return subprocess.call, (["false"],)


def zipped(*names: str, filler: int = 0) -> bytes:
    """A zip file, as torch.save makes: entries stored as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(filler):
            archive.writestr(f"archive/data/{number}", b"0")
        for name in names:
            archive.writestr(name, b"content")
    return out.getvalue()


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def with_header(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode("latin-1") + pickle.dumps([1], 0)


def archived(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("readme.txt", content)
    return out.getvalue()


OBJECTS = saved(np.array([{"a": 1}], dtype=object))
DECOY = b"PK\x05\x06" + bytes(18)
STRUCTURE = np.dtype([("Outer", [("x", "<f4", (2,)), ("Other", "<i8")]), (("Of", "y"), "|b1")])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((f"model{suffix}", b"x") for suffix in (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt")),
        ("model.PKL", b""),
        ("data/model.pkl.gz", b""),
        ("model.joblib.z", b""),
        *((f"protocol{number}.bin", pickle.dumps({"a": [1]}, protocol=number)) for number in range(2, 6)),
        *((f"hostile{number}", pickle.dumps(Hostile(), protocol=number)) for number in range(2, 6)),
        ("README.md", pickle.dumps(Hostile())),
        ("pytorch_model.bin", zipped("archive/data.pkl", "archive/version")),
        ("last.bin", zipped("archive/version", "archive/data.pkl")),
        ("many.bin", zipped("archive/data.pkl", filler=2000)),
        ("objects.npy", OBJECTS),
        ("structure.npy", saved(np.array([({},)], dtype=[("a", "O")]))),
        ("nested.npy", saved(np.array([((1, {}),)], dtype=[("a", [("b", "i4"), ("c", "O", ())])]))),
        ("shaped.npy", saved(np.array([([{}, {}],)], dtype=[("a", "O", (2,))]))),
        *(
            (f"header{number}.npy", with_header(f"{{'descr':  {descr}, 'fortran_order': False, 'shape': (1,), }}"))
            for number, descr in enumerate(
                ("'O'", "'object'", "'i4,O'", "'\\x4f'", "{('a', 'O'): 1}", "('O', (1,))", "(" * 99)
            )
        ),
        ("long.npy", with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".rjust(20_000))),
        ("objects.npz", archived(OBJECTS)),
        ("packed.npz", archived(OBJECTS, zipfile.ZIP_DEFLATED)),
        ("otherwise.npz", archived(OBJECTS, zipfile.ZIP_LZMA)),
        ("hidden.zip", archived(pickle.dumps(Hostile()))),
        ("behind.bin", b"something before" + zipped("archive/data.pkl")),
        ("behind.npz", b"something before" + archived(OBJECTS)),
        ("commented.bin", zipped("archive/data.pkl", *(f"{i:0200}" for i in range(6000)))[:-2] + b"\x16\0" + DECOY),
        ("endless.bin", zipped("archive/data.pkl", *(f"{number:0200}" for number in range(6000)))),
    ],
)
def test_a_pickle_is_refused_under_any_name(name: str, content: bytes, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_bytes(content)
    with pytest.raises(PackageError, match="pickle") as caught:
        open_package(package)
    assert caught.value.reason is Reason.INVALID_PACKAGE
    assert repr(name) in caught.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights", b""),
        ("weights.bin", b"\x80"),
        ("weights.bin", b"\x80\x02"),
        ("weights.bin", np.zeros(1000, dtype=np.float32).tobytes()),
        ("weights.bin", b"\x80\x04\x00\x00" + bytes(100)),
        ("table.npy", saved(np.arange(9.0))),
        ("structure.npy", saved(np.zeros(3, dtype=STRUCTURE))),
        ("text.npy", saved(np.array(["O", "object"]))),
        ("times.npy", saved(np.array(["2026-01-01"], dtype="M8[ns]"))),
        ("tables.npz", zipped("a.npy", "b.npy")),
        ("table.npz", archived(saved(np.arange(9.0)), zipfile.ZIP_DEFLATED)),
        ("weights.bin", bytes(100) + DECOY),
        ("broken.zip", b"PK\x03\x04PK\x01\x02"),
        ("pickles.md", b"about pickles"),
        (".pkl", b"a file without a suffix"),
        ("model.pt.json", b"{}"),
    ],
)
def test_other_data_is_let_through(name: str, content: bytes, tmp_path: Path) -> None:
    package = make_package(tmp_path / "package")
    (package / name).write_bytes(content)
    assert open_package(package).manifest.name == "iris"


def test_weights_that_look_like_anything_are_let_through(tmp_path: Path) -> None:
    """Of random files that begin with the two bytes of a header all but those with an opcode behind it pass."""
    numbers = random.Random(6)
    refused = 0
    for _ in range(500):
        (tmp_path / "weights").write_bytes(b"\x80\x04" + numbers.randbytes(64))
        try:
            refuse_pickles(tmp_path, ["weights"])
        except PackageError:
            refused += 1
    assert refused < 500 * 0.35


def test_a_zip_that_says_it_has_endless_entries_costs_no_memory(tmp_path: Path) -> None:
    with open(tmp_path / "big.zip", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(512 * 1024**2)
    program = """
import sys
from pathlib import Path
from sluice.pickles import refuse_pickles
refuse_pickles(Path(sys.argv[1]), ["big.zip"])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 100 * 1024**2
