#!/usr/bin/env bash
# All Rust sources are formatted as `cargo fmt` does it.
set -euo pipefail
mapfile -t files < <(find -L . -name '*.rs' | sort)
((${#files[@]} > 50)) || { echo "only ${#files[@]} sources are here: the test does not see what it should"; exit 1; }
"$KTSTR_RUST_BIN/rustfmt" --check --edition 2021 --config-path rustfmt.toml "${files[@]}" || {
  echo 'run `cargo fmt --all`'
  exit 1
}
echo "${#files[@]} sources are formatted"
