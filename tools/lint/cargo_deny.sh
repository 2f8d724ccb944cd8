#!/usr/bin/env bash
# Bans, licenses and sources of all crates that are linked into anything; of the workspace in the root, or in KTSTR_WORKSPACE.
set -euo pipefail
source tools/lint/missing.sh
skip_if_missing "$KTSTR_CARGO_DENY"
export HOME=$TEST_TMPDIR CARGO_HOME=$TEST_TMPDIR/cargo CARGO=$TEST_TMPDIR/cargo.sh PATH=$KTSTR_RUST_BIN:/usr/bin:/bin
workspace=$TEST_TMPDIR/workspace
mkdir -p "$workspace"
if [[ -n ${KTSTR_WORKSPACE:-} ]]; then
  cp -RL "$KTSTR_WORKSPACE"/* deny.toml LICENSE "$workspace"
else
  cp -RL Cargo.toml Cargo.lock deny.toml LICENSE */ "$workspace"
fi
tar -C "$workspace" -xf "$KTSTR_VENDOR"
mkdir -p "$workspace/.cargo"
cat >"$workspace/.cargo/config.toml" <<CONFIG
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "$workspace/vendor"
CONFIG
# cargo-deny 0.14 knows package ids only as cargo wrote them up to 1.76: name, version and source in brackets.
cat >"$CARGO" <<SCRIPT
#!/usr/bin/env bash
set -o pipefail
"$KTSTR_RUST_BIN/cargo" "\$@" | sed -E 's/"(registry|path)\+([^"#]*)#([^"@]+)@([^"]+)"/"\3 \4 (\1+\2)"/g'
SCRIPT
chmod +x "$CARGO"
program=$PWD/$KTSTR_CARGO_DENY
cd "$workspace"
"$program" --offline check --hide-inclusion-graph bans licenses sources >"$TEST_TMPDIR/log" 2>&1 || {
  cat "$TEST_TMPDIR/log"
  exit 1
}
tail -n 1 "$TEST_TMPDIR/log"
