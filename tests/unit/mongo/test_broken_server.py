"""A server that answers wrongly, without end, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mongos import destination_at, links_of, make_store, publish
from runs import SETTINGS
from servers.wire import HELLO, Answer, Reply, WireServer, cursor, serve_wire
from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.mongo import verify
from trailergenre.mongo.connection import Destination
from trailergenre.mongo.publishing import withdraw_links
from trailergenre.mongo.verify import check_published

FP = SETTINGS.fingerprint
TIMEOUT_S = 1.0
ENDS_WITHIN_S = 5.0
"""Of whatever a server does, with calls of one second."""
ENDS_BY = r"^(MongoDB at 127\.0\.0\.1:\d+|Another run published or withdrew links)"
"""The second where the server's count of documents is wrong."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "run", frames=3)


def destination_of(server: WireServer) -> Destination:
    return destination_at(server.uri, "ours", timeout_s=TIMEOUT_S, batch_size=4)


def always(reply: Reply) -> Answer:
    return lambda command: reply


def hello(**fields: object) -> dict[str, Answer]:
    return dict.fromkeys(("hello", "ismaster", "isMaster"), always(HELLO | fields))


def updated(**fields: object) -> dict[str, Answer]:
    def answer(command: dict[str, Any]) -> Reply:
        return {"ok": 1, "n": len(command["updates"]), "nModified": 0, **fields}

    return {"update": answer}


def endless(name: str, *documents: object) -> dict[str, Answer]:
    more = cursor(list(documents), number=5, name="nextBatch")
    return {name: always(cursor(list(documents), number=5)), "getMore": always(more)}


WRONG: dict[str, Reply] = {
    "silence": None,
    "nothing": {},
    "noise": b"noise, and no BSON",
    "no text": {"ok": 0, "errmsg": 1, "code": "x"},
    "odd labels": {"ok": 0, "errmsg": "x", "errorLabels": 1},
}
"""Wrong answers to any command."""

COUNTS: dict[str, Reply] = {
    "text for a number": {"ok": 1, "n": "x", "nModified": 0},
    "less than none": {"ok": 1, "n": -5, "nModified": 0},
    "odd concern": {"ok": 1, "n": 1, "nModified": 0, "writeConcernError": "x"},
    "odd errors": {"ok": 1, "n": 0, "nModified": 0, "writeErrors": "x"},
}

CURSORS: dict[str, Reply] = {
    "no cursor": {"ok": 1},
    "a number for a cursor": {"ok": 1, "cursor": 1},
    "an empty cursor": {"ok": 1, "cursor": {}},
    "text for documents": {"ok": 1, "cursor": {"id": 0, "ns": "a.b", "firstBatch": "x"}},
    "no documents": cursor([1, "x", None]),
}

WRITE_ERRORS: dict[str, object] = {
    "text": "broken",
    "a document": {"index": 0},
    "texts": ["x"],
    "numbers": [1],
    "an empty one": [{}],
    "no index": [{"code": 121, "errmsg": "x"}],
    "no code": [{"index": 0, "errmsg": "x"}],
    "no text": [{"index": 0, "code": 121}],
    "a number for text": [{"index": 0, "code": 121, "errmsg": 1}],
    "an index too large": [{"index": 999, "code": 121, "errmsg": "x"}],
    "a negative index": [{"index": -1, "code": 121, "errmsg": "x"}],
    "text for an index": [{"index": "0", "code": 121, "errmsg": "x"}],
    "one twice": [{"index": 0, "code": 121, "errmsg": "x"}] * 2,
    "the second without a code": [{"index": 0, "code": 121, "errmsg": "x"}, {"index": 1}],
}

UPSERTED: dict[str, object] = {
    "text": "x",
    "numbers": [1],
    "no index": [{"_id": 1}],
    "an index too large": [{"index": 77, "_id": "x"}],
    "more than was written": [{"index": 0, "_id": str(n)} for n in range(1000)],
}

PUBLISHING: dict[str, Mapping[str, Answer]] = {
    **{
        f"{command}: {name}": {command: always(reply)}
        for command in ("ping", "find", "insert", "update", "listIndexes", "createIndexes")
        for name, reply in WRONG.items()
    },
    **{f"update: {name}": {"update": always(reply)} for name, reply in COUNTS.items()},
    **{f"aggregate: {name}": {"aggregate": always(reply)} for name, reply in WRONG.items()},
    **{
        f"{command}: {name}": {command: always(reply)}
        for command in ("find", "aggregate", "listIndexes")
        for name, reply in CURSORS.items()
    },
    **{
        f"{field} is {value!r}": hello(**{field: value})
        for field in ("maxWriteBatchSize", "maxBsonObjectSize", "maxMessageSizeBytes")
        for value in (-1, "many", None, 1.5, [1])
        if (field, value) != ("maxBsonObjectSize", None)
    },
    **{
        f"writeErrors: {name}": updated(n=2, writeErrors=errors)
        for name, errors in WRITE_ERRORS.items()
    },
    **{f"upserted: {name}": updated(upserted=upserted) for name, upserted in UPSERTED.items()},
    "nothing of it was written": updated(n=0),
    "more was changed than was there": updated(nModified=1000),
    "no number of the changed": {"update": lambda command: {"ok": 1, "n": 4}},
    "text for the number of the changed": updated(nModified="x"),
    "the number of frames is text": {"aggregate": always(cursor([{"n": "x"}]))},
    "the number of frames is missing": {"aggregate": always(cursor([{}]))},
    "the size of documents is nothing": hello(maxBsonObjectSize=None),
    "members are numbers": hello(hosts=[1]),
    "no greeting": dict.fromkeys(("hello", "ismaster", "isMaster"), always(None)),
    "an empty greeting": dict.fromkeys(("hello", "ismaster", "isMaster"), always({})),
    "indexes without end": endless("listIndexes", {"name": "a", "key": {"a": 1}}),
    "no indexes without end": endless("listIndexes"),
    "an index without keys": {"listIndexes": always(cursor([{}]))},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", PUBLISHING)
def test_publishing_ends_by_one_sentence_in_time(name: str, store: Store) -> None:
    with serve_wire(PUBLISHING[name]) as server:
        assert_ends(lambda: publish(destination_of(server), store, FP), server)


def assert_ends(action: Callable[[], object], server: WireServer) -> None:
    started = time.monotonic()
    with pytest.raises(StorageError, match=ENDS_BY) as ended:
        action()
    assert time.monotonic() - started < ENDS_WITHIN_S
    assert "\n" not in str(ended.value)
    assert len(str(ended.value)) < 600


def test_a_sound_server_of_this_kind_holds_what_was_published(store: Store) -> None:
    """So the others end by what they do wrong alone."""
    with serve_wire({}) as server:
        destination = destination_of(server)
        done = publish(destination, store, FP)
        assert (done.frames.upserted, done.trailers.upserted) == (15, 5)
        assert publish(destination, store, FP).frames.matched == 15
        assert [check.n_offenders for check in compare(store, destination)] == [0, 0]
        gone = [link.frames.link_id for link in links_of(store, FP)][:2]
        assert withdraw_links(destination, gone).frames.deleted == 6


def compare(store: Store, destination: Destination) -> list[Any]:
    return check_published(store, FP, destination, lambda done, total, label="": None)


DELETING = {
    **WRONG,
    **{name: reply for name, reply in COUNTS.items() if name != "odd concern"},
    "an odd error": {"ok": 1, "n": 0, "writeErrors": [{"index": "x"}]},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", DELETING)
def test_withdrawing_ends_by_one_sentence_in_time(name: str, store: Store) -> None:
    with serve_wire({}) as server:
        destination = destination_of(server)
        publish(destination, store, FP)
        server.answers["delete"] = always(DELETING[name])
        gone = [link.frames.link_id for link in links_of(store, FP)]
        assert_ends(lambda: withdraw_links(destination, gone), server)


def begun(rest: Reply) -> dict[str, Answer]:
    return {"find": always(cursor([{"_id": "x"}], number=5)), "getMore": always(rest)}


READING: dict[str, Mapping[str, Answer]] = {
    **{f"find: {name}": {"find": always(reply)} for name, reply in (WRONG | CURSORS).items()},
    "the rest never comes": begun(None),
    "the rest is noise": begun(b"noise"),
    "the rest is nothing": begun({}),
    "documents without end": endless("find", *[{"_id": str(n)} for n in range(100)]),
    "one document without end": endless("find", {"_id": "x"}),
    "documents without an id and an end": endless("find", *[{}] * 100),
    "a number of text": {"count": always({"ok": 1, "n": "x"})},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", READING)
def test_verifying_ends_by_one_sentence_in_time(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_MAX_EXTRA", 1000)
    with serve_wire({}) as server:
        destination = destination_of(server)
        publish(destination, store, FP)
        sound = server.find_metadata
        for command, answer in READING[name].items():
            server.answers[command] = answer
        if answer := READING[name].get("find"):
            server.answers["find"] = lambda command: sound(command) or answer(command)
        assert_ends(lambda: compare(store, destination), server)


def test_the_command_exits_with_2(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_wire({"find": always(None)}) as server:
        monkeypatch.setenv("TRAILERGENRE_MONGO_URI", server.uri)
        words = ["verify", str(store), "--mongo", "--set", f"mongo.timeout_s={TIMEOUT_S}"]
        ended = CliRunner().invoke(app, words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "did not answer within 1 s" in line
    assert "mongo.timeout_s" in line
