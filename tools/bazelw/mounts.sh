# What is where inside the private root.
#
# The root itself is only read: without being root its files belong to other users, and several callers share it. So
# `/` is an empty file system in memory, with each entry of the root mounted on it.

# The workspace of directory $1: the nearest directory above with a MODULE.bazel. Nothing if there is none.
workspace_of() {
  local directory=$1
  until [[ -e $directory/MODULE.bazel ]]; do
    [[ -n $directory ]] || return 0
    directory=${directory%/*}
  done
  printf '%s\n' "$directory"
}

# The workspace of directory $1, unless it is in this repository.
called_from() {
  local workspace
  workspace=$(workspace_of "$1")
  [[ -z $workspace || $workspace/ == "$repository"/* ]] || printf '%s\n' "$workspace"
}

# Directories that are not the root's but the machine's, at the same path.
machine_places() {
  printf '%s\n' /dev /proc /sys /tmp "$cache" "$repository" ${workspace:+"$workspace"}
}

# Appends to mounts what is below directory $2 of root $1, where '' is all of it, read-only. A directory above one of
# the machine's places is made anew, with its entries mounted one by one: a read-only one could not get the place.
mount_entries() {
  local entry name place kind
  for entry in "$1$2"/*; do
    name=$2/${entry##*/} kind=leaf
    while read -r place; do
      [[ $place != "$name" ]] || kind=machine
      [[ $place != "$name"/* || $kind == machine ]] || kind=above
    done < <(machine_places)
    if [[ $kind == machine || ! (-e $entry || -L $entry) ]]; then
      continue
    elif [[ -L $entry ]]; then
      mounts+=(--symlink "$(readlink "$entry")" "$name")
    elif [[ $kind == above ]]; then
      mounts+=(--dir "$name")
      mount_entries "$1" "$name"
    else
      mounts+=(--ro-bind "$entry" "$name")
    fi
  done
}

# Sets mounts to bwrap's options for root $1.
root_mounts() {
  local file workspace
  workspace=$(called_from "$(pwd -P)")
  mounts=(--tmpfs /)
  mount_entries "$1" ''
  # Bazel's sandbox mounts /proc, which needs the machine's own one.
  mounts+=(--dev-bind /dev /dev --bind /proc /proc --ro-bind /sys /sys --bind /tmp /tmp
    --bind "$cache" "$cache" --bind "$repository" "$repository")
  [[ -z $workspace ]] || mounts+=(--bind "$workspace" "$workspace")
  for file in /etc/passwd /etc/group /etc/resolv.conf /etc/hosts; do
    [[ ! -e $file || ! -e $1$file ]] || mounts+=(--ro-bind "$(readlink -f "$file")" "$file")
  done
}

# Bazel's version in root $1, or the error that kept it from starting.
bazel_in_root() {
  local mounts=()
  root_mounts "$1"
  bwrap "${mounts[@]}" --remount-ro / --clearenv --setenv PATH /usr/bin:/bin --chdir / bazel --version 2>&1
}
