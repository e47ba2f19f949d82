"""Sends a burst of requests to a model of a Triton server.

It prints how many batches there were of each size, and the largest size.

    burst.py URL REQUESTS
"""

import collections
import concurrent.futures
import json
import sys
import time
import urllib.request

BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT32", "data": [1]}]}
).encode()


def ask(url):
    """One request; the size of its batch."""
    request = urllib.request.Request(url, BODY, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["outputs"][0]["data"][0]


def wait(url, seconds=60):
    """Until the model is ready."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def main():
    """Sends them all at once."""
    url, count = sys.argv[1], int(sys.argv[2])
    wait(url)
    url = f"{url}/infer"
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        sizes = collections.Counter(pool.map(ask, [url] * count))
    print(json.dumps({size: times // size for size, times in sorted(sizes.items())}))
    print(max(sizes))


if __name__ == "__main__":
    main()
