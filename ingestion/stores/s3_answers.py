"""Answers of S3, before they are parsed: no longer than a listing can be, and XML without entities of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ResponseStreamingError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import HTTPError

LONGEST_ANSWER = 16 << 20  # bytes; a page of 1,000 keys has 4 million at the most


class OddAnswerError(ValueError):
    """An answer that cannot be right: to believe it would lose files, to parse it could take all there is."""


class _Whole(io.BytesIO):
    """A body that was read, as botocore asks for it."""

    def stream(self) -> Iterator[bytes]:
        yield self.getvalue()


def whole_answer(answer: AWSResponse) -> bytes:
    """The body of an answer that is being streamed; empty in place of a gateway's page that says with DOCTYPE what
    its status says already, so that botocore tries again what passes.

    Raises:
        OddAnswerError: it is longer than any listing, or XML that declares entities, which can grow without end.
        ResponseStreamingError: it broke off.
    """
    body = bytearray()
    try:
        for block in answer.raw.stream(1 << 16):
            body += block
            if len(body) > LONGEST_ANSWER:
                answer.raw.close()
                raise OddAnswerError(f"it has more than {LONGEST_ANSWER:,} bytes")
    except HTTPError as error:
        raise ResponseStreamingError(error=error) from error
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body or b"\0" in body:  # also of UTF-16, in which S3 says nothing
        if answer.status_code >= 300:
            return b""
        raise OddAnswerError("it declares what its words stand for, as no listing does")
    return bytes(body)


def bounded(http: URLLib3Session) -> Callable[..., AWSResponse | None]:
    """For botocore's event ``before-send``: sends what is not streamed, and takes no more of the answer than above."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        if request.stream_output:
            return None
        request.stream_output = True
        try:
            answer = http.send(request)
        finally:
            request.stream_output = False
        return AWSResponse(answer.url, answer.status_code, answer.headers, _Whole(whole_answer(answer)))

    return send
