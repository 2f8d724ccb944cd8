#!/usr/bin/env bash
# All Starlark files are formatted as buildifier does it, and it has no warning.
set -euo pipefail
source tools/lint/missing.sh
skip_if_missing "$KTSTR_BUILDIFIER"
mapfile -t files < <(find -L . -name '*.bzl' -o -name 'BUILD.bazel' -o -name 'MODULE.bazel' | sort)
((${#files[@]} > 20)) || { echo "only ${#files[@]} files are here: the test does not see what it should"; exit 1; }
# Names of tests and rules are what they are; what is written for one place only needs no docstring.
warnings=-module-docstring,-function-docstring-args,-function-docstring-return
"$KTSTR_BUILDIFIER" -mode=check -lint=warn -warnings="$warnings" "${files[@]}" || {
  echo 'run `buildifier -lint=fix -r .`'
  exit 1
}
echo "${#files[@]} files are formatted"
