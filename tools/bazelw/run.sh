# Runs Bazel inside the private root.
#
# Only mounts are private: processes, network and users are the machine's, so Bazel's server outlives the call, and a
# terminal's interrupt reaches Bazel. /proc is the machine's own because Bazel's sandbox mounts need it.

# Runs Bazel in root $1 with the remaining arguments; replaces this process.
run_in_root() {
  local root=$1 name file mounts=() variables=() options=() startup=() cargo=${CARGO_HOME:-$HOME/.cargo}
  shift
  mkdir -p "$cache/home/.cargo"
  mounts=(--bind "$root" / --dev-bind /dev /dev --bind /proc /proc --ro-bind /sys /sys --bind /tmp /tmp
    --bind "$cache" "$cache" --bind "$repository" "$repository")
  for file in /etc/passwd /etc/group /etc/resolv.conf /etc/hosts; do
    [[ -e $file ]] && mounts+=(--ro-bind "$(readlink -f "$file")" "$file")
  done
  # Cargo's own configuration says which registry to use.
  for name in config.toml config credentials.toml; do
    [[ -e $cargo/$name ]] && mounts+=(--ro-bind "$(readlink -f "$cargo/$name")" "$cache/home/.cargo/$name")
  done
  [[ -e $HOME/.bazelrc ]] && mounts+=(--ro-bind "$(readlink -f "$HOME/.bazelrc")" "$cache/home/.bazelrc")
  for name in CI TERM COLUMNS LANG LC_ALL USER LOGNAME http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -n ${!name:-} ]] && variables+=(--setenv "$name" "${!name}")
  done
  # Startup options come before the command, and the registries right behind it.
  while (($#)) && [[ $1 == -* ]]; do
    startup+=("$1")
    shift
  done
  case ${1:-} in
    '' | clean | dump | help | license | shutdown | version | analyze-profile | canonicalize-flags) ;;
    *) mapfile -t options < <(registry_options) ;;
  esac
  # For programs that `bazel run` starts and that call Bazel themselves.
  variables+=(--setenv KTSTR_BAZEL_STARTUP "--bazelrc=$repository/tools/bazelw/bazelrc --output_user_root=$cache/bazel"
    --setenv KTSTR_BAZEL_OPTIONS "${options[*]}")
  exec bwrap "${mounts[@]}" --clearenv "${variables[@]}" \
    --setenv HOME "$cache/home" --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin --chdir "$PWD" \
    bazel --bazelrc="$repository/tools/bazelw/bazelrc" --output_user_root="$cache/bazel" "${startup[@]}" \
    ${1+"$1"} "${options[@]}" "${@:2}"
}
