# Tells which of some files is not the planned one. Parameters: folder, then for each its name and SHA-256. Prints `whole` or
# `missing FILE` or `damaged FILE`.
set -u
cd "$1" 2>/dev/null || { echo "missing $2"; exit 0; }
shift
while [ $# -gt 1 ]; do
    [ -f "$1" ] || { printf 'missing %s\n' "$1"; exit 0; }
    sum=$(sha256sum 2>/dev/null <"$1") && [ "${sum%% *}" = "$2" ] || { printf 'damaged %s\n' "$1"; exit 0; }
    shift 2
done
echo whole
