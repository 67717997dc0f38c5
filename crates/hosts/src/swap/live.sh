# Tells whether the live file is the planned one. A size that differs answers at once: the member may be down meanwhile.
# Parameters: live file, its planned size in bytes, its planned SHA-256, fingerprint of the staged file when it was last found
# whole (or nothing): a live file with the same one is that very file. Prints `live` or `other`.
set -u
live=$1 size=$2 want=$3 known=$4
[ -f "$live" ] && [ "$(stat -Lc %s -- "$live")" = "$size" ] || { echo other; exit 0; }
if [ -n "$known" ] && [ "$(stat -Lc '%d:%i:%s:%z' -- "$live")" = "$known" ]; then echo live; exit 0; fi
sum=$(sha256sum <"$live") || exit 1
if [ "${sum%% *}" = "$want" ]; then echo live; else echo other; fi
