"""The key of the sandbox's team: known to everybody, so it opens nothing.

A client needs the private half, as it stands in the .p8 file that Apple gives out for a key; the
sandbox itself verifies by the public one.
"""

TEAM_ID = "SANDBOX001"
KEY_ID = "SANDBOXKEY"
PRIVATE_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPslTim+iKcFzNFTQ
5lUDpaJ+8CpkAPJI4gvbf6GF19ehRANCAARv/p/lJ8CGy8ToCES07/Hexv5ogKO7
x+D62T9cPt55U5RTUfumtUdKNuOnSpxg+QSdTuh8+ZTDT2WAAmxgPUps
-----END PRIVATE KEY-----
"""
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEb/6f5SfAhsvE6AhEtO/x3sb+aICj
u8fg+tk/XD7eeVOUU1H7prVHSjbjp0qcYPkEnU7ofPmUw09lgAJsYD1KbA==
-----END PUBLIC KEY-----
"""
