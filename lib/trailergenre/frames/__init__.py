"""Video file to frames: ffmpeg in a sandboxed child, 299 x 299 RGB streamed through a pipe."""
