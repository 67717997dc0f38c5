# Writes a whole file so that a cut line leaves the old or the new one: a name of its own, the size counted, then the rename.
# Parameters: file, mode, temporary name beside it, size in bytes, `append` to go on where a cut line left off.
# The content comes on standard input: an input that ends early is a lost line, not a short file.
set -eu
file=$1 mode=$2 temp=$3 size=$4 how=$5
if [ -d "$file" ]; then echo "it is a folder" >&2; exit 1; fi
umask 077
keep=
trap '[ -n "$keep" ] || rm -f -- "$temp"' EXIT
if [ "$how" = append ]; then cat >>"$temp"; else cat >"$temp"; fi
have=$(stat -c %s -- "$temp")
if [ "$have" != "$size" ]; then
    keep=1
    echo "$have of $size bytes arrived" >&2
    exit 1
fi
# A service that owns its file must still be able to read it after the exchange. A link is replaced, not followed.
if [ -f "$file" ] && [ ! -L "$file" ]; then chown --reference="$file" -- "$temp"; fi
chmod "$mode" -- "$temp"
sync -- "$temp" 2>/dev/null || sync
mv -fT -- "$temp" "$file"
