# Tells what a cut line left of a file: its size and the digest of that part, or `none`.
# Parameters: temporary name.
set -u
[ -f "$1" ] || { echo none; exit 0; }
size=$(stat -c %s -- "$1") && sum=$(sha256sum <"$1") && printf '%s %s\n' "$size" "${sum%% *}"
