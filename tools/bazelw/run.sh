# Runs Bazel inside the private root.
#
# Only mounts are private: processes, network and users are the machine's, so Bazel's server outlives the call, and a
# terminal's interrupt reaches Bazel.

# Appends to options what stands for modules of the Central Registry that the root has copies of; nothing here uses
# these. Not in the rc file, where a path can only be relative to the workspace, which may be another one.
stub_options() {
  local stub
  for stub in "$repository"/tools/bazelw/stubs/*; do
    options+=(--override_module="${stub##*/}=$stub")
  done
}

# Prints the options for the rc files that are read only in the root, one a line: bazelw's own, and `bazelw.bazelrc` of the workspace
# that it is called in. The latter can name modules that the root has copies of, instead of those of the Central Registry.
rc_options() {
  local workspace
  printf -- '--bazelrc=%s\n' "$repository/tools/bazelw/bazelrc"
  workspace=$(workspace_of "$(pwd -P)")
  [[ -z $workspace || ! -e $workspace/bazelw.bazelrc ]] || printf -- '--bazelrc=%s\n' "$workspace/bazelw.bazelrc"
}

# Runs Bazel in root $1 with the command line that split_arguments has split; replaces this process.
run_in_root() {
  local name mounts=() variables=() rc=() cargo=${CARGO_HOME:-$HOME/.cargo}
  mkdir -p "$cache/home/.cargo"
  root_mounts "$1"
  # Cargo's own configuration says which registry to use.
  for name in config.toml config credentials.toml; do
    [[ -e $cargo/$name ]] && mounts+=(--ro-bind "$(readlink -f "$cargo/$name")" "$cache/home/.cargo/$name")
  done
  [[ -e $HOME/.bazelrc ]] && mounts+=(--ro-bind "$(readlink -f "$HOME/.bazelrc")" "$cache/home/.bazelrc")
  for name in CI TERM COLUMNS LANG LC_ALL USER LOGNAME http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -n ${!name:-} ]] && variables+=(--setenv "$name" "${!name}")
  done
  command_fetches && stub_options
  mapfile -t rc < <(rc_options)
  # For programs that `bazel run` starts and that call Bazel themselves.
  variables+=(--setenv KTSTR_BAZEL_STARTUP "${rc[*]} --output_user_root=$cache/bazel"
    --setenv KTSTR_BAZEL_OPTIONS "${options[*]}")
  exec bwrap "${mounts[@]}" --remount-ro / --clearenv "${variables[@]}" \
    --setenv HOME "$cache/home" --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin --chdir "$(pwd -P)" \
    bazel "${rc[@]}" --output_user_root="$cache/bazel" "${startup[@]}" "${command[@]}" "${options[@]}" "${arguments[@]}"
}
