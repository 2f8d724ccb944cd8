#!/usr/bin/env bash
# Runs cargo for an action.
#
#   cargo.sh dependencies PLACE VENDOR MANIFESTS STUBS ARCHIVE CARGO-ARGUMENTS...
#   cargo.sh crates       PLACE VENDOR SOURCES ARCHIVE N COLLECT... CARGO-ARGUMENTS...
#   cargo.sh all          PLACE VENDOR SOURCES N COLLECT... CARGO-ARGUMENTS...
#
# PLACE, with the user's id appended, is the fixed directory in which it works; VENDOR the archive of all crates from the registry; MANIFESTS and SOURCES list
# files as `path<TAB>path in the workspace`; STUBS lists the roots of our own targets; the N words of COLLECT say what to keep.
set -euo pipefail

die() {
  echo "cargo.sh: $*" >&2
  exit 1
}

# Takes over the place, empty, in directory $1; another action of the same kind waits. In a /tmp that several users share
# anyone can guess the name: the directory is the user's alone, and one that somebody else has made is not used.
enter() {
  mkdir -m 700 "$1" 2>/dev/null || true
  [[ -d $1 && ! -L $1 && -O $1 ]] ||
    die "$1 is not a directory of user $UID: $(stat -c '%F of %U' "$1" 2>&1); builds work there: remove it, or have it removed"
  chmod 700 "$1"
  place=$1/workspace
  exec 9>"$1/lock"
  flock 9
  rm -rf "$place"
  mkdir "$place"
  trap 'rm -rf "$place"' EXIT
}

# Copies the files that list $1 names.
fill() {
  local from to
  while IFS=$'\t' read -r from to; do
    mkdir -p "$place/$(dirname "$to")"
    cp -L "$from" "$place/$to"
  done <"$1"
}

# To be called after fill: cargo's configuration of the workspace is added to.
unpack_vendor() {
  tar -C "$place" -xf "$vendor"
  mkdir -p "$place/.cargo"
  cat >>"$place/.cargo/config.toml" <<CONFIG

[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "$place/vendor"
CONFIG
}

# Nothing of this machine's cargo gets in.
run_cargo() {
  (
    cd "$place"
    env -i HOME="$place/home" CARGO_HOME="$place/home/cargo" CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never CARGO_NET_OFFLINE=true \
      RUST_BACKTRACE=1 PATH="$KTSTR_RUST_BIN:/usr/local/bin:/usr/bin:/bin" "$KTSTR_RUST_BIN/cargo" "$@"
  )
}

# Runs cargo and shows what it says only if it fails.
quietly() {
  local log=$place/cargo.log
  run_cargo "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    return 1
  }
}

own_packages() {
  find "$place" -maxdepth 2 -name Cargo.toml -exec sed -n '/^\[package\]/,/^$/s/^name = "\(.*\)"$/\1/p' {} +
}

dependencies() {
  local manifests=$1 stubs=$2 archive=$3 stub package clean=(clean --offline)
  shift 3
  fill "$manifests"
  unpack_vendor
  while read -r stub; do
    mkdir -p "$place/$(dirname "$stub")"
    # A library, a program and a test can all be this.
    echo '#![allow(missing_docs)] fn main() {}' >"$place/$stub"
  done <"$stubs"
  quietly "$@" --locked
  [[ " $* " == *' --release '* ]] && clean+=(--release)
  for package in $(own_packages); do clean+=(--package "$package"); done
  quietly "${clean[@]}"
  tar -C "$place" --create --file="$archive" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner target
}

# Copies the programs that are named as `name=path`.
collect_programs() {
  local pair release=$place/target/x86_64-unknown-linux-gnu/release
  for pair; do
    install -m 755 "$release/${pair%%=*}" "${pair#*=}"
  done
}

# Copies what the programs `name=path` are loaded with, as the loader of this machine finds it, into directory $1.
collect_libraries() {
  local directory=$1 listed file
  shift
  listed=$(ldd "${@#*=}")
  ! grep -F ' not found' <<<"$listed" >&2 || die "a program was linked with a library that its loader does not find"
  while read -r file; do
    install -m 755 "$file" "$directory/${file##*/}"
  done < <(sed -nE 's#^\s+(\S+ => )?(/\S+) \(0x[0-9a-f]+\)$#\2#p' <<<"$listed" | sort -u)
}

# Copies test programs, `crate/target=path`, by what cargo says it has built.
collect_tests() {
  local pair name folder kind target executable built=()
  declare -A wanted=()
  for pair; do wanted[${pair%%=*}]=${pair#*=}; done
  while IFS=$'\t' read -r folder kind target executable; do
    [[ $kind == lib ]] && name=$folder/unit || name=$folder/$target
    [[ -n ${wanted[$name]:-} ]] || die "$name is built but tools/cargo/BUILD.bazel does not name it: nothing would run it"
    install -m 755 "$executable" "${wanted[$name]}"
    built+=("$name")
  done < <(sed -nE \
    's#.*"manifest_path":"[^"]*/([^/"]+)/Cargo\.toml".*"kind":\["([a-z]+)"\].*"name":"([^"]+)".*"test":true.*"executable":"([^"]+)".*#\1\t\2\t\3\t\4#p' \
    "$place/messages.json")
  ((${#built[@]} == ${#wanted[@]})) || die "wanted the tests ${!wanted[*]}; cargo built only ${built[*]}"
}

crates() {
  local sources=$1 archive=$2
  shift 2
  fill "$sources"
  unpack_vendor
  tar -C "$place" -xf "$archive"
  build_and_collect "$@"
}

all() {
  fill "$1"
  unpack_vendor
  shift
  build_and_collect "$@"
}

build_and_collect() {
  local count=$1
  shift
  local collect=("${@:1:count}")
  shift "$count"
  case ${collect[0]} in
    programs)
      quietly "$@" --locked
      collect_programs "${collect[@]:1}"
      ;;
    dynamic)
      quietly "$@" --locked
      collect_programs "${collect[@]:2}"
      collect_libraries "${collect[1]}" "${collect[@]:2}"
      ;;
    tests)
      run_cargo "$@" --locked --message-format=json >"$place/messages.json" 2>"$place/cargo.log" || {
        sed -nE 's/.*"rendered":"(.*)","\$message_type".*/\1/p' "$place/messages.json" | while read -r line; do printf '%b\n' "$line"; done >&2
        cat "$place/cargo.log" >&2
        exit 1
      }
      collect_tests "${collect[@]:1}"
      ;;
    report)
      # The subcommand's own flags end cargo's.
      quietly "${@:1:1}" --locked "${@:2}" 2>"${collect[1]}" || true
      ;;
  esac
}

what=$1 directory=$2-$UID vendor=$3
shift 3
enter "$directory"
"$what" "$@"
