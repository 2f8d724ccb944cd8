# Where this machine gets its packages from. Repository rules fetch from these addresses and from no other; the tree
# itself names none. Cargo is not here: it reads its own configuration.

# Prints npm's registry, or nothing on a machine without npm.
npm_registry() {
  if [[ -n ${KTSTR_NPM_REGISTRY:-} ]]; then
    printf '%s\n' "${KTSTR_NPM_REGISTRY%/}"
  elif type -P npm >/dev/null; then
    npm config get registry 2>/dev/null | sed -n 's#/*$##p'
  fi
}

# Prints pip's index, or nothing on a machine without pip.
pypi_index() {
  if [[ -n ${KTSTR_PYPI_INDEX:-} ]]; then
    printf '%s\n' "${KTSTR_PYPI_INDEX%/}"
  elif type -P python3 >/dev/null; then
    python3 "$repository/tools/bazelw/pypi_index.py" 2>/dev/null
  fi
}

# Prints the options that hand these addresses to Bazel, one a line. Asking npm and pip takes a second, so the answer
# is kept until something that it was made from changes.
registry_options() {
  local kept=$cache/registries key
  key=$({
    stat -c '%n %Y' /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/sources.list.d/* ~/.npmrc /etc/npmrc ~/.config/pip/pip.conf ~/.pip/pip.conf /etc/pip.conf
    type -P npm python3
    env | grep -E '^(KTSTR_|PIP_|npm_config_|NPM_CONFIG_)'
  } 2>/dev/null | sha256sum) || true
  if [[ $(head -n 1 "$kept" 2>/dev/null) != "# $key" ]]; then
    {
      echo "# $key"
      printf -- '--repo_env=KTSTR_DEBIAN_MIRROR=%s\n' "$(debian_mirror || true)"
      printf -- '--repo_env=KTSTR_NPM_REGISTRY=%s\n' "$(npm_registry || true)"
      printf -- '--repo_env=KTSTR_PYPI_INDEX=%s\n' "$(pypi_index || true)"
    } >"$kept.$$"
    mv "$kept.$$" "$kept"
  fi
  tail -n +2 "$kept" | grep -v '=$' || true
}
