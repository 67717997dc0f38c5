# Tells whether a file has the planned digest, and by what to know it again without reading it.
# Parameters: file, planned SHA-256, fingerprint of the file when it was last found whole (or nothing).
# Prints `whole FINGERPRINT`, `damaged SHA256` or `missing`.
set -u
file=$1 want=$2 known=$3
# Device, inode, size and time of change: whoever writes to a file moves the last one, and cannot set it.
print() { stat -Lc '%d:%i:%s:%z' -- "$1" 2>/dev/null || echo none; }
if [ ! -f "$file" ]; then echo missing; exit 0; fi
before=$(print "$file")
if [ -n "$known" ] && [ "$before" = "$known" ]; then printf 'whole %s\n' "$known"; exit 0; fi
sum=$(sha256sum 2>/dev/null <"$file") && sum=${sum%% *} || sum=unreadable
if [ "$sum" != "$want" ]; then printf 'damaged %s\n' "$sum"; exit 0; fi
# A file that was written to while it was read has no fingerprint that could be trusted.
if [ "$(print "$file")" = "$before" ]; then printf 'whole %s\n' "$before"; else echo "whole none"; fi
