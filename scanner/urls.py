"""URLs as they may be shown: every password masked, whatever shape the URL is in.

A URL that cannot be parsed is masked too: rather too much is hidden than a password shown.
"""

import re

MASK = "***"

_USER_AND_PASSWORD = re.compile(r"^(?P<scheme>[\w+.-]*://)(?P<user>[^:/?#@]*):(?P<password>.*)$", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"(?i)([?&](?:password|passwd|pwd|sslpassword|secret|token)=)[^&#]*")


def mask(url: str) -> str:
    """Return the URL with its password, and secrets among its parameters, replaced by `***`."""
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _mask_authority(url))


def _mask_authority(url: str) -> str:
    found = _USER_AND_PASSWORD.match(url)
    if found is None:
        return url
    rest = found["password"]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # A password that holds an unescaped slash has no "@" in its authority: mask up to the last one there is.
    end = authority.rfind("@") if "@" in authority else rest.rfind("@")
    if end < 0:
        return url
    return f"{found['scheme']}{found['user']}:{MASK}{rest[end:]}"
