"""The WSGI entry that uwsgi loads to run Python Keystone in these tests.

A real deployment has a web server that sets REMOTE_USER, SSL_CLIENT_CERT and the like; here a
test sends them as base64 JSON in the header X-Test-Environ.
"""

import base64
import json

from keystone.wsgi.api import application as keystone


def application(environ, start_response):
    extra = environ.pop("HTTP_X_TEST_ENVIRON", None)
    if extra:
        environ.update(json.loads(base64.b64decode(extra)))
    return keystone(environ, start_response)
