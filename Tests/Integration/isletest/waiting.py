"""Waiting for what takes a moment."""
import time


def until(check, seconds=15):
    """Calls `check` until it says yes; a failed assertion after that time."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.2)
