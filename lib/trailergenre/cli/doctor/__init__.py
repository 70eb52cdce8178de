"""What this machine has and lacks: `trailergenre doctor`."""
