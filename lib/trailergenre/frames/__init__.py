"""Video file to frames: ffmpeg in a sandboxed child, RGB of the network's size through a pipe."""
