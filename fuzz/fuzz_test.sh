#!/usr/bin/env bash
# Runs a fuzz target: its corpus, then what the engine makes of it. The last line says how much that was; a fault is told with its input.
set -uo pipefail
export TMPDIR=${TEST_TMPDIR:-/tmp}
artifacts=${TEST_UNDECLARED_OUTPUTS_DIR:-$TMPDIR}
# Some targets make many small files.
if [[ -w /dev/shm ]]; then
  TMPDIR=$(mktemp -d -p /dev/shm)
  trap 'rm -rf "$TMPDIR"' EXIT
fi
grown=$(mktemp -d)
# The same inputs each time, so that a target which is green stays so; runs by hand that look for more take seeds of their own.
limits=(-seed="${KTSTR_FUZZ_SEED:-1}" -max_total_time="${KTSTR_FUZZ_SECONDS:-30}" -rss_limit_mb=1024 -timeout=25)
if output=$("%program%" "${limits[@]}" -artifact_prefix="$artifacts/" "$@" "$grown" "$KTSTR_CORPUS" 2>&1); then
  tail -n 1 <<<"$output"
else
  status=$?
  tail -n 100 <<<"$output"
  for input in "$artifacts"/{crash,oom,timeout}-*; do
    [[ -e $input ]] || continue
    echo "the input, ${input##*/}, in base64 (\`base64 -d\` into $KTSTR_CORPUS/ once the fault is gone):"
    base64 -w 0 "$input"
    echo
  done
  exit "$status"
fi
