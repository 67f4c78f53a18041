#!/bin/sh
# Takes out of a virtual environment what the share step never touches; loading an image into a
# cluster takes a second for 20 MB.
set -eu
site=$1/lib/python3.11/site-packages
rm -rf "$site"/tensorflow/include "$site"/clang "$site"/pip "$site"/pip-* "$site"/setuptools "$site"/setuptools-*
find "$site" -type d \( -name tests -o -name test -o -name testing \) -path '*/numpy/*' -prune -exec rm -rf {} + || true
find "$site" -type d \( -name tests -o -name test \) -path '*/h5py/*' -prune -exec rm -rf {} + || true
"$1"/bin/python -m compileall -q "$site" || true
