#!/usr/bin/env bash
# Verifies on the GPU of this machine, and prints a report to keep:
#
#   bash scripts/verify_gpu.sh [REPORT]        (default: gpu-report.txt)
#
# Needs an NVIDIA driver, and in PYTHON (default: python) onnxruntime-gpu and a CUDA build of
# PyTorch. Each network is verified twice: with TF32 off, held to float32's noise floor, and with
# TF32 on, held to TF32's. Exit codes: 0 all of it passed on the device; 1 something differs;
# 3 something did not run, which is said and is no pass.
set -uo pipefail
cd "$(dirname "$0")/.."
report=${1:-gpu-report.txt}
python=${PYTHON:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec > >(tee "$report") 2>&1

worst=0
note() { # exit code: 1 outweighs 3, and 3 outweighs 0
    case $1 in
        0) ;;
        3) [ "$worst" = 1 ] || worst=3 ;;
        *) worst=1 ;;
    esac
}
check() { # source, artifact, runtimes
    echo "--- $1 on $3"
    "$python" -m lstmbridge verify "$1" "$2" --runtimes "$3" --require "$3"
    code=$?
    echo "exit code $code"
    note $code
}

echo "lstmbridge on a GPU, $(date -u +%Y-%m-%dT%H:%MZ), $(uname -sm)"
"$python" --version
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv 2>/dev/null ||
    echo "nvidia-smi is not here: this machine has no NVIDIA driver"
"$python" -m lstmbridge runtimes
for name in ${FIXTURES:-tf115-seed-bare tf115-bidirectional-multi tf115-residual tf115-gru-cudnn}; do
    source=fixtures/$name/$("$python" -c "import json; print(json.load(open('fixtures/$name/card.json'))['prefix'])")
    for to in onnx torch; do
        artifact=$folder/$name.$([ $to = onnx ] && echo onnx || echo pt)
        runtime=$([ $to = onnx ] && echo onnxruntime-cuda || echo torch-cuda)
        # written here without proof: the proof is what follows
        "$python" -m lstmbridge convert "$source" --to $to -o "$artifact" --no-verify --quiet 2>/dev/null
        code=$?
        if [ $code != 0 ]; then
            echo "--- $source cannot be said in $to (exit code $code)"
            note $code
            continue
        fi
        check "$source" "$artifact" $runtime
        check "$source" "$artifact" $runtime-tf32
    done
done
echo "--- tests that need a device"
"$python" -m pytest -q -m gpu -rs tests/runtimes
code=$?
echo "exit code $code"
note $code
case $worst in
    0) echo "RESULT: passed on the device" ;;
    1) echo "RESULT: something differs" ;;
    3) echo "RESULT: not run in full; this is no pass" ;;
esac
exit $worst
