"""One of the three worker processes of TF Encrypted.

python server.py NAME '{"server0": "127.0.0.1:4440", ...}'
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict

import tfe_ops
from securemodel_share.tfe.compat import tfe

if __name__ == "__main__":
    name, hosts = sys.argv[1:]
    tfe_ops.install()
    tfe.RemoteConfig(json.loads(hosts, object_pairs_hook=OrderedDict)).start_server(name).join()
