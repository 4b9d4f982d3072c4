"""The least that could answer: uvicorn (uvloop, httptools) and the compiled model: `python bare_loop.py MODEL PORT`.

It checks nothing, counts nothing, keeps nothing and has no bounds: what a server costs is held against it.
"""

import sys

import orjson
import uvicorn

from turnout.models.compiled.opening import open_scorer

scorer = open_scorer(sys.argv[1])
names = scorer.names


async def app(scope, receive, send):
    pieces = []
    while True:
        message = await receive()
        pieces.append(message["body"])
        if not message["more_body"]:
            break
    row = orjson.loads(b"".join(pieces))
    body = orjson.dumps(scorer.row([row[name] for name in names]))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", ws="none", lifespan="off",
                log_config=None, access_log=False)  # fmt: skip
