"""Files read by markitdown: a path a line in; out the seconds that it took, and its Markdown, as JSON."""

import json
import sys
import time

from markitdown import MarkItDown  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    reader = MarkItDown()
    for line in sys.stdin:
        begun = time.perf_counter()
        try:
            text = reader.convert(line.strip()).text_content
        except Exception as error:  # noqa: BLE001  what a file makes it raise counts as nothing read
            text = ""
            sys.stderr.write(f"{line.strip()}: {type(error).__name__}\n")
        sys.stdout.write(json.dumps([time.perf_counter() - begun, text]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
