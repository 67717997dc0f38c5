# Tells of processes what starts them and where they listen. Prints one fact a line.
# Parameters: process ids.
set -uf
for pid; do
    unit= owner=system
    while IFS=: read -r _ controllers path; do
        case $controllers in
        '' | name=systemd)
            case $path in */user@*) owner=user ;; esac
            case $path in *.service) unit=${path##*/} ;; esac
            ;;
        esac
    done <"/proc/$pid/cgroup"
    if [ -n "$unit" ] && [ "$owner" = system ]; then
        main=$(systemctl show -p MainPID --value -- "$unit" 2>/dev/null)
        stop=$(systemctl show -p TimeoutStopUSec --value -- "$unit" 2>/dev/null)
        printf 'unit %s %s %s %s\n' "$pid" "$unit" "${main:-0}" "$stop"
    fi
    sockets=$(ls -l "/proc/$pid/fd" 2>/dev/null)
    for table in tcp tcp6; do
        [ -r "/proc/$pid/net/$table" ] || continue
        while read -r _ here _ state _ _ _ _ _ inode _; do
            [ "$state" = 0A ] || continue
            case $sockets in *"socket:[$inode]"*) printf 'listens %s %s\n' "$pid" "$here" ;; esac
        done <"/proc/$pid/net/$table"
    done
done
exit 0
