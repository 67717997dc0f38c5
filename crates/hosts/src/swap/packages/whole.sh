# Tells which of some files is not the planned one, and whether dpkg is free. Another dpkg at work is waited for: the member still
# runs, and after its stop it would be down for as long.
# Parameters: dpkg's own folder, tenths of a second to wait for another dpkg, folder of the files, then for each its name and
# SHA-256. Prints `whole`, `missing FILE`, `damaged FILE` or `busy`.
set -u
admin=$1 tenths=$2
cd "$3" 2>/dev/null || { echo "missing $4"; exit 0; }
shift 3
while [ $# -gt 1 ]; do
    [ -f "$1" ] || { printf 'missing %s\n' "$1"; exit 0; }
    sum=$(sha256sum 2>/dev/null <"$1") && [ "${sum%% *}" = "$2" ] || { printf 'damaged %s\n' "$1"; exit 0; }
    shift 2
done
# dpkg's lock is one of the kernel, on a file that always exists; looking does not touch it.
is_busy() {
    for lock in lock-frontend lock; do
        inode=$(stat -c %i -- "$admin/$lock" 2>/dev/null) || continue
        if grep -q ":$inode " /proc/locks 2>/dev/null; then return 0; fi
    done
    return 1
}
while is_busy; do
    if [ "$tenths" -le 0 ]; then echo busy; exit 0; fi
    sleep 0.5
    tenths=$((tenths - 5))
done
echo whole
