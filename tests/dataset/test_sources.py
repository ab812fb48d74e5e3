"""What a source has, in which order, and what is said of one that cannot be used."""

import io
import json
import pickle
import struct
import sys
import tarfile

import jax
import numpy as np
import pytest

import camjax
from camjax import dataset
from camjax.dataset import Outcome, RecordError, SourceError, source_of
from camjax.dataset._feed import Batches
from camjax.dataset._texts import Texts
from tests.dataset.conftest import encoded, pictures

JPEGS = [encoded(picture) for picture in pictures(6)]


def tree(root, *names):
    for name, data in zip(names, JPEGS, strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_folder_has_its_pictures_in_the_order_of_their_paths(tmp_path):
    tree(tmp_path, "b/2.JPG", "b/10.jpg", "B.png", "a.jpg", "b.jpeg")
    for other in ("notes.txt", ".hidden.jpg", ".git/x.jpg"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).write_bytes(b"-")
    source = source_of(tmp_path)
    # Part by part: what is in folder b comes where b does, before b.jpeg.
    assert list(source.names) == ["B.png", "a.jpg", "b/10.jpg", "b/2.JPG", "b.jpeg"]
    assert source.labels is None
    assert source[3].image == JPEGS[0]


def test_folders_of_a_folder_are_classes(tmp_path):
    source = source_of(tree(tmp_path, "dog/1.jpg", "cat/x/2.jpg"))
    assert (list(source.names), list(source.labels)) == (["cat/x/2.jpg", "dog/1.jpg"], ["cat", "dog"])
    assert source[1] == (JPEGS[0], "dog")


def test_a_source_is_known_again_by_names_and_sizes_wherever_it_lies(tmp_path):
    first = source_of(tree(tmp_path / "first", "1.jpg", "2.jpg"))
    moved = source_of(tree(tmp_path / "second", "1.jpg", "2.jpg"))
    assert first.described() == moved.described()
    (tmp_path / "second" / "2.jpg").write_bytes(b"other")
    assert source_of(tmp_path / "second").fingerprint != first.fingerprint
    (tmp_path / "first" / "2.jpg").rename(tmp_path / "first" / "3.jpg")
    assert source_of(tmp_path / "first").fingerprint != first.fingerprint


def test_lists(tmp_path):
    tree(tmp_path, "p/1.jpg", "p/2.jpg")
    (tmp_path / "l.csv").write_text("label,path,note\ncat,p/2.jpg,x\n,p/1.jpg,y\n7,gone.jpg,z\n")
    rows = [{"path": "p/2.jpg", "label": "cat"}, {"path": "p/1.jpg"}, {"path": "gone.jpg", "label": 7}]
    (tmp_path / "l.jsonl").write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    for name in ("l.csv", "l.jsonl"):
        source = source_of(str(tmp_path / name))
        assert list(source.names) == ["p/2.jpg", "p/1.jpg", "gone.jpg"]
        assert source.labels == ["cat", None, 7]
        assert source[0] == (JPEGS[1], "cat")
        with pytest.raises(RecordError, match="no such file") as caught:
            source[2]
        assert caught.value.outcome is Outcome.MISSING


def test_arrays(tmp_path):
    images = pictures(3)
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "a.npz", images=images, labels=[2, 0, 1])
    np.savez(tmp_path / "f.npz", x=np.zeros((2, 4, 5)), y=["cat", "dog"])
    npy, npz, floats = (source_of(tmp_path / name) for name in ("a.npy", "a.npz", "f.npz"))
    np.testing.assert_array_equal(npy[1].image, images[1])
    assert (npy.labels, npz[1].label, npy.input_shape) == (None, 0, None)
    assert (floats[0].label, floats.input_shape) == ("cat", (4, 5))
    assert source_of(images).fingerprint == npy.fingerprint != npz.fingerprint


def test_a_users_own_records():
    image = np.zeros((2, 2, 3), np.uint8)
    records = [image, (JPEGS[0], 3), {"image": image, "label": "cat"}, {"label": 1}, None]
    source = source_of(records)
    assert (source[1], source[2].label) == ((JPEGS[0], 3), "cat")
    for index in (3, 4):
        with pytest.raises(RecordError, match="expected bytes, uint8 pixels or a floating input, got object"):
            source[index]

    class Torn(list):
        def __getitem__(self, index):
            raise KeyError("torn")

    with pytest.raises(RecordError, match="reading it failed: KeyError: 'torn'"):
        source_of(Torn([1]))[0]


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_webdataset_tars(tmp_path):
    with tarfile.open(tmp_path / "s-0.tar", "w") as tar:
        add(tar, "d/b.jpg", JPEGS[0])
        add(tar, "d/b.cls", b"2\n")
        add(tar, "d/a.json", b"{}")
        add(tar, "d/a.v2.jpg", JPEGS[1])
    with tarfile.open(tmp_path / "s-1.tar", "w") as tar:
        add(tar, "c.cls", b"cat")
    for spec in (tmp_path, f"{tmp_path}/s-*.tar"):
        source = pickle.loads(pickle.dumps(source_of(spec)))
        assert list(source.names) == ["s-0.tar/d/b", "s-0.tar/d/a", "s-1.tar/c"]
        assert (source[0], source[1]) == ((JPEGS[0], 2), (JPEGS[1], None))
        with pytest.raises(RecordError, match="a label for this name, but no picture"):
            source[2]
    with (tmp_path / "s-0.tar").open("r+b") as file:
        file.truncate(600)
    with pytest.raises(RecordError, match=r"s-0.tar ends in the middle") as caught:
        source[0]
    assert caught.value.outcome is Outcome.DAMAGED


def proto(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def example(**features):
    """A tf.train.Example of bytes and of whole numbers, packed and not."""
    entries = b""
    for name, value in features.items():
        feature = proto(1, proto(1, value)) if isinstance(value, bytes) else proto(3, proto(1, _varint(value)))
        entries += proto(1, proto(1, name.replace("__", "/").encode()) + proto(2, feature))
    return proto(1, entries)


def masked(data):
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def test_tfrecords(tmp_path):
    records = [
        example(image__class__label=300, image__encoded=JPEGS[0], other=b"x" * 200),
        JPEGS[1],
        example(other=b"y"),
        example(image=JPEGS[2], label=b"cat"),
    ]
    path = tmp_path / "train.tfrecord-00000-of-00001"
    with path.open("wb") as file:
        for data in records:
            length = struct.pack("<Q", len(data))
            file.write(length + masked(length) + data + masked(data))
    source = source_of(path)
    assert [source[index] for index in (0, 1, 3)] == [(JPEGS[0], 300), (JPEGS[1], None), (JPEGS[2], "cat")]
    with pytest.raises(RecordError, match=r"holds no picture; its features are other"):
        source[2]
    with path.open("r+b") as file:
        file.seek(40)
        file.write(b"?")
    with pytest.raises(RecordError, match="checksum does not fit"):
        source[0]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(SourceError, match=r"truncated at byte \d+"):
        source_of(path)


def test_array_records(tmp_path):
    from array_record.python import array_record_module

    path = tmp_path / "a.array_record"
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
    for data in (JPEGS[0], example(image=JPEGS[1], label=5)):
        writer.write(data)
    writer.close()
    source = source_of(path)
    assert (len(source), source[0], source[1]) == (2, (JPEGS[0], None), (JPEGS[1], 5))


def broken(path, name, data):
    (path / name).write_bytes(data)
    return path / name


UNUSABLE = {
    "nothing there": (lambda p: p / "x", r"x: no such file or folder; expected a folder of pictures"),
    "an empty folder": (lambda p: p, r"there is no picture in this folder"),
    "another kind": (lambda p: broken(p, "x.zip", b""), r"x.zip: is none of camjax's kinds"),
    "a list without paths": (
        lambda p: broken(p, "x.csv", b"file\na\n"),
        r"line 2: has no 'path'; its columns",
    ),
    "an empty list": (lambda p: broken(p, "x.csv", b"path\n"), r"lists no picture"),
    "no JSON": (lambda p: broken(p, "x.jsonl", b"{\n"), r"line 1: is no JSON"),
    "a JSON number": (lambda p: broken(p, "x.jsonl", b"3\n"), r"line 1: is no JSON object with a 'path'"),
    "no array": (lambda p: broken(p, "x.npy", b"-"), r"cannot be read as a NumPy file"),
    "a compressed tar": (lambda p: broken(p, "x.tar", b"\x1f\x8b" + b"0" * 600), r"tar file without compression"),
    "no records": (lambda p: broken(p, "x.tfrecord", b""), r"there is no record"),
    "no ArrayRecord": (lambda p: broken(p, "x.array_record", b"-" * 99), r"cannot be read as an ArrayRecord"),
    "a missing module": (lambda p: "python:no_such_module:f", r"python:no_such_module:f: ModuleNotFoundError"),
    "no function": (lambda p: "python:os:sep", r"is no function; expected one that returns a data source"),
    "whole numbers": (lambda p: np.zeros((2, 3), int), r"got int64 \[2, 3\], expected pictures, uint8 \[N, height"),
    "an empty array": (lambda p: np.zeros((0, 3)), r"images: the array is empty"),
    "no sequence": (lambda p: 3, r"got int, expected an object with len\(\) and indexing"),
    "an empty sequence": (lambda p: [], r"it has no records"),
}


@pytest.mark.parametrize(("make", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_used_is_refused_in_words(make, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        source_of(make(tmp_path))


def test_labels_must_be_as_many():
    with pytest.raises(SourceError, match=r"labels: got int64 \[2\], expected 3 class indices or names"):
        dataset._arrays.Arrays(pictures(3), [1, 2])


def test_names_and_places_are_kept_as_bytes():
    """Some 130 bytes for an example as objects; 100 million of them are to fit in a machine."""
    names = [f"train/{i:06}/ä{i}.jpg" for i in range(1000)]
    texts = Texts(names)
    assert list(texts) == names
    assert (texts[-1], texts[3:990:400]) == (names[-1], names[3:990:400])
    assert len(pickle.dumps(texts)) < sum(len(name.encode()) + 8 for name in names) + 500
    assert sys.getsizeof(texts._data) + sys.getsizeof(texts._ends) < 1.2 * sum(len(n.encode()) + 8 for n in names)
    with pytest.raises(IndexError):
        texts[1000]


@pytest.mark.parametrize("pictures_first", [True, False])
def test_a_source_of_pictures_has_no_inputs_and_the_other_way_round(pictures_first):
    records = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.float32)]
    source = dataset.source_of(records if pictures_first else records[::-1])
    spec = camjax.Preprocess((16, 16), None)
    like = jax.ShapeDtypeStruct((16, 16, 3), np.uint8 if pictures_first else np.float32)
    batch = Batches(source, [0], 3, like, spec if pictures_first else None, {}, False)[0]
    assert batch.x.dtype == like.dtype
    assert batch.outcome.tolist() == [Outcome.EXPLAINED, Outcome.RECORD, Outcome.EXPLAINED]
    kinds = "a model's input", "a picture"
    assert batch.detail[1] == f"is {kinds[not pictures_first]}, the first record is {kinds[pictures_first]}."
