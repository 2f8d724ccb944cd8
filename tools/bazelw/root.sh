# The private root: a directory with a small Debian that has the Bazel we want, made once by mmdebstrap.
#
# Its name is a hash of all that goes into it, so a change of the package list makes another one. It is built under
# another name, and renamed when it is complete: an interrupted call leaves nothing that a later one would use.

ROOT_SUITE=forky
# file and zip: Bazel packs the outputs of a test with them. clang and the libraries: the schedulers of scx-ktstr and, with pkgconf,
# of examples/schedulers. bazel-rules-rust: e2e/rust_binary.
ROOT_PACKAGES=(bazel-bootstrap bazel-rules-rust ca-certificates cargo clang curl file git libbpf-dev libelf-dev libzstd-dev pkgconf
  rust-clippy rustc rustfmt zip zlib1g-dev)

# Certificates that the administrator of this machine trusts: the root must trust them too.
machine_certificates() {
  find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null | sort
}

# Without being root other means are used, to make the root and to remove it. A function, so that tests can be anyone.
is_root() {
  [[ $EUID == 0 ]]
}

# Path of the root that this version of the repository wants: one with an older Bazel has another path.
root_path() {
  local key
  key=$({
    echo "$ROOT_SUITE ${ROOT_PACKAGES[*]} $(uname -m) $wanted"
    machine_certificates | xargs -r -d '\n' cat
  } | sha256sum)
  printf '%s/roots/%s\n' "$cache" "${key:0:16}"
}

# Installs mmdebstrap and bubblewrap where this may be done, and otherwise says how.
need_tools() {
  local missing=()
  type -P mmdebstrap >/dev/null || missing+=(mmdebstrap)
  type -P bwrap >/dev/null || missing+=(bubblewrap)
  is_root || type -P newuidmap >/dev/null || missing+=(uidmap)
  ((${#missing[@]})) || return 0
  if ! is_root || ! type -P apt-get >/dev/null; then
    die "no Bazel $wanted or newer on PATH, and to make one these are missing: ${missing[*]}" \
      "install them:  sudo apt-get install -y --no-install-recommends ${missing[*]}" \
      "or install Bazel $wanted (bazelisk does) and run this again"
  fi
  say "installing ${missing[*]} with apt-get"
  {
    apt-get -q update && apt-get -q install -y --no-install-recommends "${missing[@]}"
  } </dev/null >"$cache/apt.log" 2>&1 || {
    tail -n 20 "$cache/apt.log" >&2
    die "apt-get could not install ${missing[*]}; the whole output is in $cache/apt.log"
  }
}

# Says what mmdebstrap, process $2, is doing, from its log $1 and the package database of the root $3, until it ends.
follow_log() {
  local phase='' shown=0 line status set_up
  while kill -0 "$2" 2>/dev/null; do
    line=$(grep -a '^I: ' "$1" | tail -n 1) || true
    case $line in
      *'apt-get update'*) line='reading package lists' ;;
      *downloading*) line='downloading packages' ;;
      *extracting*) line='unpacking the base system' ;;
      *'installing essential'*) line='installing the base system' ;;
      *'installing remaining'*) line='installing Bazel, Rust and a JDK' ;;
      *'customize-hook'*) line='installing certificates' ;;
      *'cleaning'*) line='cleaning up' ;;
      *) line='starting' ;;
    esac
    if [[ $line != "$phase" ]]; then
      say "$line"
      phase=$line shown=$SECONDS
    elif ((SECONDS - shown >= 15)); then
      status=$3/var/lib/dpkg/status
      set_up=$(grep -cs '^Status: install ok installed' "$status") || true
      # There is no database yet while the base system is unpacked.
      ((${set_up:-0})) && line+=" ($set_up packages are set up)"
      say "$line"
      shown=$SECONDS
    fi
    sleep 0.5
  done
}

# Makes the root at $1.
make_root() {
  local root=$1 building=$1.building log=$cache/root.log mirror maker status=0 certificate
  mkdir -p "${root%/*}"
  exec 9>"$cache/root.lock"
  if ! flock -n 9; then
    say "another bazelw makes the private root; waiting for it"
    flock 9
  fi
  if [[ -e $root ]]; then
    exec 9>&-
    return
  fi
  say "no Bazel $wanted or newer on PATH: making a private root with one, once, in $root (2.1 GB, one to three minutes)"
  need_tools
  mirror=$(debian_mirror) || die \
    "the apt sources of this machine name no Debian mirror" \
    "name one:  KTSTR_DEBIAN_MIRROR=<URL of a Debian mirror> $0 ..." \
    "or install Bazel $wanted (bazelisk does) and run this again"
  remove_tree "$building"
  : >"$log"
  local hooks=()
  while IFS= read -r certificate; do
    hooks+=(--customize-hook="cp '$certificate' \"\$1/usr/local/share/ca-certificates/\"")
  done < <(machine_certificates)
  # Java's key store takes part in update-ca-certificates: Bazel's downloader reads that one.
  hooks+=(--customize-hook='chroot "$1" update-ca-certificates')
  # Manual pages stay: update-alternatives fails without their directories.
  mmdebstrap --variant=apt \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
    --include="$(IFS=, && echo "${ROOT_PACKAGES[*]}")" "${hooks[@]}" \
    "$ROOT_SUITE" "$building" "$mirror" </dev/null >"$log" 2>&1 9>&- &
  maker=$!
  # A background process of a script does not get the terminal's interrupt: hand it on, and leave nothing behind.
  trap 'stop_making "$maker" "$building"' INT TERM HUP
  follow_log "$log" "$maker" "$building"
  wait "$maker" || status=$?
  trap - INT TERM HUP
  if ((status)); then
    tail -n 20 "$log" >&2
    remove_tree "$building"
    die "the private root could not be made (mmdebstrap gave status $status); the whole output is in $log"
  fi
  check_bazel "$building"
  mv -T "$building" "$root"
  exec 9>&-
  say "the private root is ready"
}

# Ends mmdebstrap, process $1, and the making of root $2.
stop_making() {
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" || true
  remove_tree "$2"
  die "interrupted; run it again to start over"
}

# Ends with a message, and without the root $1, if it has no Bazel that fits: a distribution moves on.
check_bazel() {
  local said version problem
  said=$(bazel_in_root "$1") || true
  version=$(version_said <<<"$said")
  if [[ -z $version ]]; then
    problem="Bazel does not start in the private root: $said"
  elif ! version_fits "$version" "$wanted"; then
    problem="Debian $ROOT_SUITE has Bazel $version now; wanted: $wanted or a newer one of the same major version"
  else
    return 0
  fi
  remove_tree "$1"
  die "$problem" "install Bazel $wanted (bazelisk does) and run this again" \
    "or name a mirror that still has it:  KTSTR_DEBIAN_MIRROR=<URL of an archive of older days> $0 ..."
}

# Removes a half-made root; without being root its files belong to other user ids.
remove_tree() {
  [[ -e $1 ]] || return 0
  if is_root; then
    rm -rf --one-file-system "$1"
  else
    # What is in it is removed as those users, who may not remove the directory itself from one of ours.
    mmdebstrap --unshare-helper find "$1" -xdev -mindepth 1 -delete >/dev/null 2>&1 || true
    rm -rf "$1"
  fi
}
