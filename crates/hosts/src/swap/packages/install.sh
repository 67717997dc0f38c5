# Installs packages, and lets them start nothing. Can be cut off at any line and run again: dpkg takes a package up where it
# was left. Parameters: folder of the policy, cluster, tenths of a second to wait for another dpkg, folder of the files, live
# file, its planned SHA-256, then for each package: its file, SHA-256, name, version.
# Prints `free`, `damaged FILE`, `already`, `busy`, `failed` and the last lines, or `installed`, each followed by lines
# `left FILE` for files of a package's settings that were put beside those in use.
set -u
policy=$1/policy-rc.d cluster=$2 tenths=$3 folder=$4 live=$5 want=$6
shift 6
say() { printf '%s\n' "$1"; exit 0; }
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical
# A connection that breaks must not cut dpkg off in its middle.
trap '' HUP

# Whether every one of them is installed whole, at its version.
state() {
    while [ $# -gt 0 ]; do
        said=$(dpkg-query -W -f '${db:Status-Eflag} ${db:Status-Status} ${Version}' "$3" 2>/dev/null)
        [ "$said" = "ok installed $4" ] || return 1
        shift 4
    done
}
lives() { sum=$(sha256sum 2>/dev/null <"$live") && [ "${sum%% *}" = "$want" ]; }

if state "$@" && lives; then say already; fi
[ -x "$policy" ] && grep -qxF -- "# Made by Quorate for a run on cluster $cluster" "$policy" || say free
cd "$folder" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
: >"$work/files"
: >"$work/names"
many=$#
while [ "$many" -gt 0 ]; do
    sum=$(sha256sum 2>/dev/null <"$1") && [ "${sum%% *}" = "$2" ] || say "damaged $1"
    printf './%s\0' "$1" >>"$work/files"
    printf '%s\n' "$3" >>"$work/names"
    set -- "$@" "$1" "$2" "$3" "$4"
    shift 4
    many=$((many - 4))
done
while :; do
    QUORATE_INSTALLS=yes xargs -0 -a "$work/files" dpkg --force-confold --force-confdef --force-downgrade \
        -i </dev/null >"$work/out" 2>&1
    status=$?
    [ "$status" -ne 0 ] && grep -q 'lock .*locked by another process\|is locked by another process' "$work/out" || break
    [ "$tenths" -gt 0 ] || say busy
    # Another dpkg is at work: it is let finish.
    sleep 0.5
    tenths=$((tenths - 5))
done
# dpkg takes the hold off what it is told to install: it is put on again, as it was noted when services were held back.
for package in $(sed -n 's/^# On hold before: //p' "$policy"); do
    printf '%s hold\n' "$package" | dpkg --set-selections
done
if [ "$status" -eq 0 ] && state "$@" && lives; then
    echo installed
else
    echo failed
    while read -r name; do
        dpkg-query -W -f '${binary:Package} is ${db:Status-Status} at ${Version}\n' "$name" 2>/dev/null
    done <"$work/names"
    # The reason is among the last lines, and a person still reads them all.
    grep -v '^(Reading database' "$work/out" | tail -n 8
fi
while read -r name; do dpkg-query -W -f '${Conffiles}\n' "$name" 2>/dev/null; done <"$work/names" |
    while read -r file _; do
        for ending in dpkg-dist dpkg-new; do
            if [ -n "$file" ] && [ "$file.$ending" -nt "$work/files" ]; then printf 'left %s\n' "$file.$ending"; fi
        done
    done
exit 0
