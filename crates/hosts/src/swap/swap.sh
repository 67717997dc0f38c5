# Makes a staged binary live and keeps the one that was live. Can be cut off at any line and run again.
# Parameters: live file, staged file, name to keep the old one under, SHA-256 of the new one, fingerprint of the staged
# file when it was last found whole (or nothing): while it is the same, the file need not be read again.
# Prints `already`, `swapped`, `missing`, `damaged SHA256`, `folder` or `failed WHAT`.
set -u
live=$1 staged=$2 kept=$3 want=$4 known=$5

digest() { sum=$(sha256sum 2>/dev/null <"$1") && sum=${sum%% *} || sum=unreadable; }
say() { printf '%s\n' "$1"; exit 0; }
same() { [ "$1" -ef "$2" ] || cmp -s -- "$1" "$2"; }

if [ -d "$live" ]; then say folder; fi
# Sizes first: the common case then reads 20 MB once, not twice, while the member is down.
if [ -f "$live" ] && { [ ! -f "$staged" ] || [ "$(stat -Lc %s "$live")" = "$(stat -Lc %s "$staged")" ]; }; then
    digest "$live"
    if [ "$sum" = "$want" ]; then say already; fi
fi
if [ ! -f "$staged" ]; then say missing; fi
if [ -z "$known" ] || [ "$(stat -Lc '%d:%i:%s:%z' -- "$staged" 2>/dev/null)" != "$known" ]; then
    digest "$staged"
    if [ "$sum" != "$want" ]; then say "damaged $sum"; fi
fi

# Keep first, swap then: whatever cuts this off, the old binary is never without a name.
# A live symbolic link is kept as that link; what it points to belongs to somebody else and stays.
if [ -e "$live" ] || [ -L "$live" ]; then
    if [ -e "$kept" ] && ! same "$kept" "$live"; then
        # Another file already has the old release's name: it moves aside and is not lost.
        digest "$kept"
        mv -f -- "$kept" "$kept.replaced-$(printf '%.12s' "$sum")" || say "failed moving $kept aside"
    fi
    if [ ! -e "$kept" ] && [ ! -L "$kept" ]; then
        if ! ln -- "$live" "$kept" 2>/dev/null; then
            cp -pP -- "$live" "$kept.quorate-new" && mv -f -- "$kept.quorate-new" "$kept" ||
                say "failed keeping $live as $kept"
        fi
    fi
fi

# No sync: after a power cut the old name may be back, and the start's own gate, which asks the release, sees it.
new="$live.quorate-new"
rm -f -- "$new"
ln -- "$staged" "$new" 2>/dev/null || cp -pP -- "$staged" "$new" || say "failed writing $new"
mv -f -- "$new" "$live" || say "failed renaming $new to $live"
say swapped
