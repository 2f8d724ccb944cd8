#!/usr/bin/env bash
# How the private root is made: by an mmdebstrap and in a bwrap that are only played.
source tests/bazelw/prelude.sh
export KTSTR_DEBIAN_MIRROR=http://mirror.example/debian
root=$(root_path)

# The calls that this process makes, in another: what it says, and its status in $status.
in_another() {
  status=0
  said=$("$@" 2>&1) || status=$?
}

check "$(root_path)" "$root" 'the path is always the same'
check "$(ROOT_PACKAGES+=(more) && [[ $(root_path) != "$root" ]] && echo another)" another 'another list of packages'
check "$(wanted=7.8.0 && [[ $(root_path) != "$root" ]] && echo another)" another 'another version of Bazel'

# A user who may not install anything, on a machine that has nothing.
is_root() { false; }
nothing=$TEST_TMPDIR/nothing
mkdir "$nothing"
need_nothing() { PATH=$nothing need_tools; }
in_another need_nothing
check "$status" 37 'the tools are missing'
check_has "$said" 'these are missing: mmdebstrap bubblewrap uidmap' \
  'sudo apt-get install -y --no-install-recommends mmdebstrap bubblewrap uidmap' 'or install Bazel 7.7.1'

PATH=$TEST_TMPDIR/bin:$PATH
program newuidmap ''
# Makes the directory that is its last argument but one, or removes what it is told to.
program mmdebstrap 'if [[ $1 == --unshare-helper ]]; then shift; exec "$@"; fi
building=${*: -2:1}
mkdir -p "$building/usr/bin"
trap "kill %1; exit 1" TERM
if [[ -e $TEST_TMPDIR/slow ]]; then sleep 60 & fi
wait
[[ ! -e $TEST_TMPDIR/broken ]] || { echo "E: no such suite"; exit 25; }'
program bwrap 'cat "$TEST_TMPDIR/version"'
roots() { ls "$cache/roots"; }

echo 'bazel 7.9.2' >"$TEST_TMPDIR/version"
in_another make_root "$root"
check "$status" 0 "a root is made: $said"
check "$(roots)" "${root##*/}" 'just the root is there'
rm -r "$root"

for version in 'bazel 8.1.0' 'bazel 7.7.0'; do
  echo "$version" >"$TEST_TMPDIR/version"
  in_another make_root "$root"
  check "$status" 37 "$version does not fit"
  check_has "$said" "has Bazel ${version#bazel } now; wanted: 7.7.1 or a newer one" 'KTSTR_DEBIAN_MIRROR='
  check "$(roots)" '' "$version: no root"
done

echo 'bwrap: setting up uid map: Permission denied' >"$TEST_TMPDIR/version"
in_another make_root "$root"
check_has "$said" 'Bazel does not start in the private root: bwrap: setting up uid map: Permission denied'
check "$(roots)" '' 'no root that does not work'

touch "$TEST_TMPDIR/broken"
in_another make_root "$root"
check "$status" 37 'mmdebstrap fails'
check_has "$said" 'E: no such suite' 'mmdebstrap gave status 25'
check "$(roots)" '' 'no root that is not complete'
rm "$TEST_TMPDIR/broken"

touch "$TEST_TMPDIR/slow"
make_root "$root" 2>"$TEST_TMPDIR/said" &
for ((tries = 0; tries < 200; tries++)); do
  [[ ! -d $root.building/usr ]] || break
  sleep 0.05
done
check "$(roots)" "${root##*/}.building" 'it is being made'
kill -TERM "$!"
status=0
wait "$!" || status=$?
check "$status" 37 'interrupted'
check_has "$(<"$TEST_TMPDIR/said")" 'interrupted; run it again to start over'
check "$(roots)" '' 'no half-made root'

# The mounts: all is read-only but the machine's places, even below a directory of the root.
mkdir -p "$root/usr/bin" "$root/var/lib/x" "$root/var/log"
ln -s usr/bin "$root/bin"
cache=/var/lib/ci/cache repository=/srv/code
mounts=()
mount_entries "$root" ''
check "${mounts[*]}" "--symlink usr/bin /bin --ro-bind $root/usr /usr --dir /var --dir /var/lib --ro-bind $root/var/lib/x /var/lib/x --ro-bind $root/var/log /var/log" \
  'entries, and a place below /var/lib'

# What it is called from is there, too: a repository that uses this one.
mkdir -p "$TEST_TMPDIR/user/deep"
touch "$TEST_TMPDIR/user/MODULE.bazel"
check "$(called_from "$TEST_TMPDIR/user/deep")" "$TEST_TMPDIR/user" 'the workspace above'
repository=$TEST_TMPDIR/user
check "$(called_from "$TEST_TMPDIR/user/deep")" '' 'in this repository'
check "$(called_from /usr/bin)" '' 'no workspace'

# What a workspace says only for the private root.
rc() { (cd "$1" && rc_options); }
own=--bazelrc=$repository/tools/bazelw/bazelrc
check "$(rc "$TEST_TMPDIR/user/deep")" "$own" 'a workspace that says nothing'
touch "$TEST_TMPDIR/user/bazelw.bazelrc"
check "$(rc "$TEST_TMPDIR/user/deep")" "$own"$'\n'"--bazelrc=$TEST_TMPDIR/user/bazelw.bazelrc" 'a workspace with an rc file for the root'
check "$(rc /usr/bin)" "$own" 'no workspace, no rc file'

echo "$checks checks"
