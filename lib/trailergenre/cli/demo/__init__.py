"""The whole pipeline on made clips: `trailergenre demo`."""
