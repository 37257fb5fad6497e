#!/bin/sh
# A search on a machine with an accelerator and no network: docs/training.md, "Without a network".
#
#     sh tuning/searching/offline.sh RESULTS MINUTES search [options of python -m tuning search]
#
# Run it in the root of a checkout with .pack and .whl. The search lies in WORK, on the machine's own disk; the same
# command goes on with it. RESULTS/search gets a copy without the states of the trainings, which are large.
set -eu

began=$(date +%s)
results=$1
minutes=$2
shift 2
work=${WORK:-${TMPDIR:-/tmp}/kneeoa-search}
python=${PYTHON:-python3}
# Seconds of the time that importing and copying take.
aside=30

mkdir -p "$work" "$results"
if [ ! -e "$work/installed" ] && ls .whl/*.whl >/dev/null 2>&1; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$work/site" .whl/*.whl
    touch "$work/installed"
fi
if [ ! -d "$work/search" ] && [ -d .pack/search ]; then
    cp -r .pack/search "$work/search"
fi
export PYTHONPATH="$work/site:$PWD${PYTHONPATH:+:$PYTHONPATH}" KERAS_BACKEND=jax
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$work/compiled}"

left=$((began + minutes * 60 - aside - $(date +%s)))
code=0
"$python" -m tuning "$@" --data .pack --out "$work/search" --hours "$(awk "BEGIN { print $left / 3600 }")" || code=$?
rm -rf "$results/search"
mkdir "$results/search"
for part in step.json tuner failed; do
    if [ -e "$work/search/$part" ]; then
        cp -r "$work/search/$part" "$results/search/"
    fi
done
exit $code
