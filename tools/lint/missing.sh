# For lints by a program out of a registry: what to do where no registry is known.

# Ends the test if program $1 is the note that tools/lint/registry.bzl leaves in its place: skipped, with a line and in
# the test's XML, or failed where KTSTR_LINTS_MUST_RUN is set, as in CI.
skip_if_missing() {
  local note
  # A program has null bytes, and is long.
  note=$(head -c 400 "$1" | tr -d '\0')
  [[ $note == missing:* ]] || return 0
  note=${note#missing: }
  if [[ -n ${KTSTR_LINTS_MUST_RUN:-} ]]; then
    echo "$note (KTSTR_LINTS_MUST_RUN is set, so this is an error)"
    exit 1
  fi
  echo "SKIPPED: $note"
  if [[ -n ${XML_OUTPUT_FILE:-} ]]; then
    note=$(sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' <<<"$note")
    printf '<testsuites><testsuite name="%s" tests="1" skipped="1"><testcase name="%s"><skipped>%s</skipped></testcase></testsuite></testsuites>\n' \
      "$TEST_TARGET" "$TEST_TARGET" "$note" >"$XML_OUTPUT_FILE"
  fi
  exit 0
}
