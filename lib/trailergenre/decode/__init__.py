"""Video file to frames: ffmpeg in a sandboxed child, 299 x 299 RGB streamed through a pipe.

`video` runs it, `ffmpeg` is the program and its arguments, `report` reads what it said, `length`,
`containers` and `failures` judge it. Knows nothing of networks.
"""

from trailergenre.decode.ffmpeg import ffmpeg_major, ffmpeg_version, find_ffmpeg
from trailergenre.decode.video import DecodedVideo, Decoder

__all__ = ["DecodedVideo", "Decoder", "ffmpeg_major", "ffmpeg_version", "find_ffmpeg"]
