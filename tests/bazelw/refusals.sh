#!/usr/bin/env bash
# What the scripts of lints and builds refuse or skip.
source tests/bazelw/prelude.sh

# A lint whose program is a note, or a program.
lint() {
  status=0
  said=$(bash -c 'set -euo pipefail; source tools/lint/missing.sh; skip_if_missing "$1"; echo runs' bash "$1") || status=$?
}
unset KTSTR_LINTS_MUST_RUN
export XML_OUTPUT_FILE=$TEST_TMPDIR/skipped.xml TEST_TARGET=//:lint
note=$TEST_TMPDIR/note
echo 'missing: no registry: pass --repo_env=X=<URL> & try' >"$note"
lint "$note"
check "$status $said" '0 SKIPPED: no registry: pass --repo_env=X=<URL> & try' 'skipped aloud'
check_has "$(<"$XML_OUTPUT_FILE")" '<skipped>no registry: pass --repo_env=X=&lt;URL&gt; &amp; try</skipped>'
KTSTR_LINTS_MUST_RUN=1 lint "$note"
check "$status" 1 'an error in CI'
check_has "$said" 'no registry: pass' 'KTSTR_LINTS_MUST_RUN is set'
lint /bin/true
check "$status $said" '0 runs' 'a program'

# The place of builds is made by somebody else, as a link or a file.
place=$TEST_TMPDIR/place
refused() {
  status=0
  said=$(tools/cargo/cargo.sh dependencies "$place" no-vendor no-manifests no-stubs no-archive 2>&1) || status=$?
  check "$status" 1 "$1"
  check_has "$said" "$place-$UID is not a directory of user $UID: $1" 'remove it'
  rm "$place-$UID"
}
ln -s "$TEST_TMPDIR" "$place-$UID"
refused 'symbolic link'
echo >"$place-$UID"
refused 'regular file'

echo "$checks checks"
