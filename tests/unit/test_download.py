from __future__ import annotations

import threading
from pathlib import Path

import pytest

from clips import make_clip
from lists import as_links
from servers import Answer, answer, content, fails_first, hangs, status
from trailergenre.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.download.downloader import Downloader
from trailergenre.errors import ItemError, ToolMissingError
from trailergenre.outcomes import Outcome
from trailergenre.sandbox import Deadline


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, "testsrc2=s=320x320:r=8:d=2", "-movflags", "+faststart").read_bytes()


def fetch(
    answers: dict[str, Answer],
    scratch: Path,
    *,
    path: str = "/clip.mp4",
    limits: LimitsConfig | None = None,
    seconds: float = 60,
) -> tuple[bytes, int, dict[str, int]]:
    """Fetch a path of a server; the file's content, the attempts and the requests by path."""
    with answer(answers) as server:
        downloader = Downloader(
            LinksConfig(),
            NetworkConfig(allow=(server.address,)),
            limits or LimitsConfig(),
            backoff_s=0.01,
        )
        (link,) = as_links([f"http://{server.address}{path}"])
        video, attempts = downloader.fetch(link, scratch, Deadline(seconds))
        assert video.path.name.startswith(link.link_id)
        assert video.is_owned
        return video.path.read_bytes(), attempts, server.requested


def failure(answers: dict[str, Answer], scratch: Path, **more: object) -> ItemError:
    with pytest.raises(ItemError) as raised:
        fetch(answers, scratch, **more)  # type: ignore[arg-type]
    return raised.value


def test_file_arrives_whole_and_is_named_by_its_link(clip: bytes, tmp_path: Path) -> None:
    received, attempts, _ = fetch({"/clip.mp4": content(clip)}, tmp_path)
    assert (received == clip, attempts) == (True, 1)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (status(404), Outcome.UNAVAILABLE),
        (status(410), Outcome.UNAVAILABLE),
        (status(403), Outcome.FORBIDDEN),
        (content(b"<html><title>x</title></html>", "text/html"), Outcome.UNSUPPORTED_SITE),
        (status(302, Location="http://127.0.0.1:9/x.mp4"), Outcome.HOST_DENIED),
        (status(302, Location="/clip.mp4"), Outcome.REDIRECT),
    ],
    ids=["404", "410", "403", "page", "redirect to a private host", "redirect loop"],
)
def test_what_will_not_pass_is_asked_once(reply: Answer, outcome: Outcome, tmp_path: Path) -> None:
    error = failure({"/clip.mp4": reply}, tmp_path)
    assert (error.outcome, error.attempts) == (outcome, 1)
    assert list(tmp_path.iterdir()) == []


def test_page_with_several_videos_is_not_a_single_video(clip: bytes, tmp_path: Path) -> None:
    page = b"<html><video src=/a.mp4></video><video src=/b.mp4></video></html>"
    answers = {
        "/page": content(page, "text/html"),
        "/a.mp4": content(clip),
        "/b.mp4": content(clip),
    }
    assert failure(answers, tmp_path, path="/page").outcome is Outcome.NOT_A_SINGLE_VIDEO


def test_page_may_not_lead_to_a_private_address(clip: bytes, tmp_path: Path) -> None:
    with answer({"/secret.mp4": content(clip)}) as private:
        page = f"<html><video src=http://{private.address}/secret.mp4></video></html>"
        answers = {"/page": content(page.encode(), "text/html")}
        assert failure(answers, tmp_path, path="/page").outcome is Outcome.HOST_DENIED
        assert private.requested == {}


def test_server_error_is_tried_again_until_it_passes(clip: bytes, tmp_path: Path) -> None:
    flaky = fails_first(2, status(503), content(clip))
    received, attempts, _ = fetch({"/clip.mp4": flaky}, tmp_path)
    assert (received == clip, attempts) == (True, 3)


def test_attempts_end(tmp_path: Path) -> None:
    error = failure({"/clip.mp4": status(503)}, tmp_path, limits=LimitsConfig(attempts=2))
    assert (error.outcome, error.attempts) == (Outcome.HTTP_5XX, 2)


def test_throttling_is_told_apart(tmp_path: Path) -> None:
    reply = status(429, Retry_After="0")
    error = failure({"/clip.mp4": reply}, tmp_path, limits=LimitsConfig(attempts=2))
    assert (error.outcome, error.retry_after_s, error.attempts) == (Outcome.THROTTLED, 0.0, 2)


def test_wait_that_the_deadline_would_not_outlast_is_not_begun(tmp_path: Path) -> None:
    error = failure({"/clip.mp4": status(429, Retry_After="100")}, tmp_path, seconds=20)
    assert (error.outcome, error.attempts) == (Outcome.THROTTLED, 1)


def test_machine_without_the_downloader_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trailergenre.download.attempt._BOOTSTRAP", "import no_such_module")
    (link,) = as_links(["https://example.org/x.mp4"])
    downloader = Downloader(LinksConfig(), NetworkConfig(), LimitsConfig())
    with pytest.raises(ToolMissingError, match="no_such_module"):
        downloader.fetch(link, tmp_path, Deadline(30))


def test_short_body_is_truncated(clip: bytes, tmp_path: Path) -> None:
    short = content(clip, length=len(clip) + 1000)
    error = failure({"/clip.mp4": short}, tmp_path, limits=LimitsConfig(attempts=1))
    assert error.outcome is Outcome.TRUNCATED_DOWNLOAD


def test_large_file_is_refused(clip: bytes, tmp_path: Path) -> None:
    limits = LimitsConfig(max_file_bytes=len(clip) - 1)
    assert failure({"/clip.mp4": content(clip)}, tmp_path, limits=limits).outcome is (
        Outcome.TOO_LARGE
    )


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    sound = make_clip(tmp_path / "a.m4a", "sine=d=1").read_bytes()
    answers = {"/a.m4a": content(sound, "audio/mp4")}
    assert failure(answers, tmp_path, path="/a.m4a").outcome is Outcome.NO_VIDEO


def test_deadline_ends_a_server_that_says_nothing(tmp_path: Path) -> None:
    release = threading.Event()
    error = failure({"/clip.mp4": hangs(release)}, tmp_path, seconds=3)
    release.set()
    assert error.outcome is Outcome.TIMEOUT
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with answer({}) as server:
        address = server.address
    downloader = Downloader(
        LinksConfig(), NetworkConfig(allow=(address,)), LimitsConfig(attempts=1)
    )
    (link,) = as_links([f"http://{address}/clip.mp4"])
    with pytest.raises(ItemError) as raised:
        downloader.fetch(link, tmp_path, Deadline(30))
    assert raised.value.outcome is Outcome.CONNECT


def test_local_file_is_used_where_it_lies(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "my clip.mp4", "testsrc2=s=320x320:r=8:d=1")
    (link,) = as_links([clip.as_uri()])
    allowed = LinksConfig(allowed_roots=(str(tmp_path),))
    video, _ = Downloader(allowed, NetworkConfig(), LimitsConfig()).fetch(
        link, tmp_path, Deadline(9)
    )
    assert (video.path, video.is_owned) == (clip, False)


def test_local_file_outside_of_the_roots_is_refused(tmp_path: Path) -> None:
    (link,) = as_links(["file:///etc/passwd"])
    allowed = LinksConfig(allowed_roots=(str(tmp_path),))
    with pytest.raises(ItemError) as raised:
        Downloader(allowed, NetworkConfig(), LimitsConfig()).fetch(link, tmp_path, Deadline(9))
    assert raised.value.outcome is Outcome.SCHEME
