#!/usr/bin/env bash
# Runs a test program: all that it says if it fails, otherwise its last line. Snapshots are in the sources and are not to be
# written here.
set -uo pipefail
export INSTA_WORKSPACE_ROOT=$PWD INSTA_UPDATE=no INSTA_FORCE_PASS=0 RUST_BACKTRACE=1
export TMPDIR=${TEST_TMPDIR:-/tmp}
[[ -n ${TESTBRIDGE_TEST_ONLY:-} ]] && set -- "$TESTBRIDGE_TEST_ONLY" "$@"
if output=$(exec "%program%" "$@" 2>&1); then
  grep '^test result' <<<"$output"
else
  status=$?
  printf '%s\n' "$output"
  exit "$status"
fi
