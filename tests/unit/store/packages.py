"""Small packages that need no graph: what stores and signatures look at are files."""

from pathlib import Path

from sluice.manifest import Card, Datatype, Manifest, TensorSpec, dump_manifest


def make_package(
    folder: Path, name: str = "iris", version: str = "1", owner: str | None = None, **files: bytes
) -> Path:
    """A package's folder, with a graph that nothing loads; `files` come on top."""
    tensor = TensorSpec(name="x", datatype=Datatype.FP32, shape=(-1, 4))
    card = Card(owner=owner) if owner else None
    manifest = Manifest(name=name, version=version, inputs=(tensor,), outputs=(tensor,), card=card)
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(dump_manifest(manifest), encoding="utf-8")
    (folder / "model.onnx").write_bytes(b"\x08\x07graph")
    for path, content in files.items():
        (folder / path).write_bytes(content)
    return folder
