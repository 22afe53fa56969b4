"""`python -m engine.feed FOLDER`: the feed of one run. Started by `engine.feed.feed`, ends with the engine."""

import sys
from pathlib import Path

from engine.feed.orders import SPEC_FILE, FeedSpec
from engine.feed.serving import serve
from engine.records.coding import from_json


def main() -> None:
    home = Path(sys.argv[1])
    serve(from_json((home / SPEC_FILE).read_bytes(), FeedSpec), home)


if __name__ == "__main__":
    main()
