"""A storage for one laptop and for tests: WebDAV over https, macaroons and billing records as dCache's.

It copies what a running dCache 12.0 was seen to do (tests/data/dcache), so that what works against it works
against dCache. Left out, on purpose: X.509 clients, doors and users with a root of their own, third-party copy
(COPY), the rate limiter, tape, pools that switch themselves off, the frontend and its server-sent
events.
"""
