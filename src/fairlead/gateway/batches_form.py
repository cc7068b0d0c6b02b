"""The form of an upload, read as it arrives: the bytes of `file` go through, the few other fields are kept."""

from __future__ import annotations

from collections.abc import Iterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from fairlead.gateway import answers
from fairlead.gateway.answers import Refusal
from fairlead.gateway.head import Refused

FORM = "multipart/form-data"
FRAMING_BYTES = 64 * 1024  # boundaries, heads and small fields beside the file
MOST_PARTS = 16
LONGEST_FIELD = 4096
LONGEST_NAME = 255
KNOWN = frozenset(("purpose",))


class Form:
    """One upload. `fields` and `filename` are whole at its end."""

    def __init__(self, content_type: bytes, max_file_bytes: int) -> None:
        """Raises Refused for what is no form."""
        kind, options = parse_options_header(content_type.decode("latin-1"))
        if kind.lower() != FORM or not options.get("boundary"):
            raise Refused(refused_upload("Send the file as multipart/form-data, in the field 'file'.", "file"))
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.size = 0
        self._most = max_file_bytes
        self._part: MultipartSegment | None = None
        self._end = b"\r\n--%b--" % options["boundary"].encode("latin-1")
        self._seen = b"\r\n"  # the last bytes, where the end may have begun
        self._ended = False
        try:
            self._parser = PushMultipartParser(options["boundary"], max_segment_count=MOST_PARTS, strict=True)
        except MultipartError as error:
            raise Refused(refused_upload(f"The form cannot be read: {error}.")) from None

    def end(self) -> None:
        """The body is whole. Raises Refused when the form is not."""
        try:
            self._parser.close()
        except MultipartError:
            raise Refused(refused_upload("The form is not whole.")) from None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The bytes of the file in a piece of the body. Raises Refused.

        What comes behind the end is not the form's (RFC 2046, 5.1.1), also in a piece of its own.
        """
        if self._ended:
            return
        self._seen = self._seen[-len(self._end) :] + piece
        self._ended = self._end in self._seen
        try:
            for event in self._parser.parse(piece):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event and self._part is not None and self._part.name == "file":
                    self.size += len(event)
                    if self.size > self._most:
                        raise Refused(answers.BODY_TOO_LARGE)
                    yield bytes(event)
                elif event and self._part is not None:
                    self._keep(str(self._part.name), bytes(event))
        except MultipartError as error:
            raise Refused(refused_upload(f"The form cannot be read: {error}.")) from None

    def _begin(self, part: MultipartSegment) -> None:
        self._part = part
        if part.name == "file":
            if self.filename is not None:
                raise Refused(refused_upload("There are two files in the form.", "file"))
            self.filename = (part.filename or "upload.jsonl")[:LONGEST_NAME]
        elif part.name not in KNOWN:  # what is not acted on is not taken
            told = f"The parameter {str(part.name)[:60]!r} is not known here."
            raise Refused(refused_upload(told, str(part.name)[:60], code="unknown_parameter"))

    def _keep(self, name: str, value: bytes) -> None:
        self.fields[name] = self.fields.get(name, "") + value.decode(errors="replace")
        if len(self.fields[name]) > LONGEST_FIELD:
            raise Refused(refused_upload(f"{name!r} is too long.", name))


def refused_upload(message: str, param: str | None = None, *, code: str = "invalid_upload") -> Refusal:
    """400, in OpenAI's shape."""
    return Refusal(400, code, message, param=param)
