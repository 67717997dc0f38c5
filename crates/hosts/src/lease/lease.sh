# Takes, looks at, or gives back a cluster on one of its hosts, for one controller.
# Parameters: `take`, `break`, `check` or `leave`; the cluster's name; the state folder; who holds it.
# Prints `own`, `nobody`, or `held WHO`.
set -u
umask 077
if [ "$(id -u)" = 0 ]; then base=/var/lib/quorate; else base=$HOME/.local/state/quorate; fi
room=$base/$2 lease=$base/$2/lease
state=$(sed -n 1p -- "$lease" 2>/dev/null) who=$(sed -n 2p -- "$lease" 2>/dev/null)
case $1 in
check)
    if [ -z "$state$who" ]; then echo nobody
    elif [ "$state" = "$3" ] && [ "$who" = "$4" ]; then echo own
    else echo "held $who"; fi
    exit 0 ;;
leave)
    # Whoever took the cluster over, also with the same state folder, keeps it.
    if [ "$state" = "$3" ] && [ "$who" = "$4" ]; then rm -f -- "$lease" || exit 1; fi
    rmdir -- "$room" 2>/dev/null
    echo nobody
    exit 0 ;;
esac
mkdir -p -- "$room" || exit 1
for folder in "$base" "$room"; do
    if [ -L "$folder" ] || [ ! -O "$folder" ]; then echo "$folder belongs to somebody else" >&2; exit 1; fi
done
new=$lease.$$
printf '%s\n%s\n' "$3" "$4" >"$new" || exit 1
# A link is there or not: of two that come at once one is first.
if ln -- "$new" "$lease" 2>/dev/null; then
    rm -f -- "$new"
elif [ "$1" = break ] || [ "$state" = "$3" ]; then
    mv -f -- "$new" "$lease" || exit 1
else
    rm -f -- "$new"
    echo "held $(sed -n 2p -- "$lease")"
    exit 0
fi
echo own
