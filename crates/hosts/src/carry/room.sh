# Makes a private folder for copies and prints its name. Refuses when its disk has not twice the room of a data folder: the
# copy may grow while it is taken, and members live on the same disk.
# Parameters: name, data folder (empty when it is not known).
set -u
umask 077
if [ "$(id -u)" = 0 ]; then base=/var/lib/quorate; else base=$HOME/.local/state/quorate; fi
room=$base/$1
mkdir -p -- "$room" || exit 1
for folder in "$base" "$room"; do
    if [ -L "$folder" ] || [ ! -O "$folder" ]; then echo "$folder belongs to somebody else" >&2; exit 1; fi
done
if [ -n "$2" ] && [ -d "$2" ]; then
    need=$(du -sk -- "$2" 2>/dev/null | cut -f1)
    free=$(df -Pk -- "$room" | { read -r _; read -r _ _ _ free _; echo "$free"; })
    if [ "$((${need:-0} * 2))" -gt "${free:-0}" ]; then
        echo "the disk of $room has $free KiB left, and a copy of $2 may need $((need * 2)) KiB" >&2
        exit 1
    fi
fi
printf '%s\n' "$room"
