#!/bin/sh
# Generate lstmbridge/sources/proto/*_pb2.py from the .proto files beside them.
#
# usage: scripts/make_protos.sh [PYTHON]
#
# PYTHON needs grpcio-tools 1.62.x (protoc 25): its output has no check of the runtime's
# version and loads under every protobuf from 4.25 to 7; newer protocs pin the runtime.
#   python -m venv /tmp/protoc && /tmp/protoc/bin/pip install "grpcio-tools==1.62.3" "setuptools<80"
set -eu
cd "$(dirname "$0")/.."
python="${1:-python}"
"$python" -m grpc_tools.protoc --version
"$python" -m grpc_tools.protoc -I. --python_out=. --pyi_out=. lstmbridge/sources/proto/*.proto
