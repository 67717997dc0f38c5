# Gives a data folder a small disk of its own, fills it, frees it, or takes it away. Needs root for the mount.
# Parameters: `mount`, `fill`, `free` or `unmount`, the data folder. Prints `done`, or `refused WHY`.
set -u
what=$1 data=$2
ballast="$data/quorate-ballast"

refuse() { printf 'refused %s\n' "$1"; exit 0; }
mounted() { [ -d "$data" ] && [ "$(stat -c %d "$data")" != "$(stat -c %d "$data/..")" ]; }

case $what in
mounted)
    if mounted; then echo yes; else echo no; fi
    exit 0
    ;;
mount)
    used=$(du -sk "$data" 2>/dev/null) || refuse "$data cannot be measured"
    used=${used%%[!0-9]*}
    saved="$data.before-disk"
    mkdir "$saved" 2>/dev/null || refuse "$saved exists already"
    # 192 MiB above what is there: a member sets two log segments of 64 MiB aside when it starts.
    if ! mount -t tmpfs -o "size=$((used + 196608))k,mode=700" tmpfs "$saved"; then
        rmdir "$saved"
        refuse "a small disk cannot be mounted here"
    fi
    if ! cp -a "$data/." "$saved/"; then
        umount "$saved"
        rmdir "$saved"
        refuse "the data do not fit on the small disk"
    fi
    rm -rf "$data" && mkdir "$data" && mount --move "$saved" "$data" || refuse "the small disk cannot be moved to $data"
    rmdir "$saved"
    ;;
fill)
    mounted || refuse "$data has no small disk of its own"
    # Ends with "no space left", which is the aim.
    cat /dev/zero >>"$ballast" 2>/dev/null
    ;;
free) rm -f "$ballast" ;;
unmount)
    if mounted; then umount "$data" || refuse "$data cannot be unmounted"; fi
    ;;
esac
echo done
