#!/usr/bin/env bash
# A fault that is behind a comparison of three bytes is found, makes the test of a target red, and its input is told.
set -euo pipefail
corpus=$TEST_TMPDIR/corpus artifacts=$TEST_TMPDIR/artifacts
mkdir "$corpus" "$artifacts"
# In brackets, so that it does not have the program put in here, too.
sed 's#%[p]rogram%#%program%#' fuzz/fuzz_test.sh >"$TEST_TMPDIR/fuzz_test.sh"
if said=$(TEST_UNDECLARED_OUTPUTS_DIR=$artifacts KTSTR_CORPUS=$corpus bash "$TEST_TMPDIR/fuzz_test.sh" 2>&1); then
  echo "not found: $said"
  exit 1
fi
# `hey` in base64.
for wanted in 'fuzz/src/lib.rs:' planted 'the input, crash-' $'\naGV5'; do
  [[ $said == *"$wanted"* ]] || { echo "it does not say '$wanted': $said"; exit 1; }
done
echo 'found, and told'
