# Makes and takes away the network of a lab. May be run again.
# Parameters: `bridge` NAME ADDRESS/BITS HARDWARE, `machine` NAMESPACE LINK BRIDGE ADDRESS/BITS, `unplug` LINK,
# or `remove` NUMBER TABLE.
set -eu

there() { ip link show dev "$1" >/dev/null 2>&1; }

case $1 in
bridge)
    there "$2" || ip link add name "$2" address "$4" type bridge
    ip addr replace "$3" dev "$2"
    ip link set dev "$2" up
    ;;
machine)
    [ -e "/run/netns/$2" ] || ip netns add "$2"
    there "$3" || ip link add name "$3" type veth peer name eth0 netns "$2"
    ip link set dev "$3" master "$4" up
    ip -n "$2" addr replace "$5" dev eth0
    ip -n "$2" link set dev lo up
    ip -n "$2" link set dev eth0 up
    ;;
unplug)
    if there "$2"; then ip link set dev "$2" down; fi
    ;;
remove)
    # Only names that begin with the lab's number: links first, the bridge with them.
    for path in /sys/class/net/q"$2"*; do
        [ -e "$path" ] || continue
        # The other end of a link may have gone with it.
        ip link del dev "${path##*/}" 2>/dev/null || [ ! -e "$path" ]
    done
    for path in /run/netns/quorate-"$2"-*; do
        [ -e "$path" ] || continue
        ip netns del "${path##*/}"
    done
    for path in /run/systemd/nspawn/propagate/quorate-"$2"-*; do
        [ -e "$path" ] || continue
        rmdir "$path"
    done
    if nft list table bridge "$3" >/dev/null 2>&1; then nft delete table bridge "$3"; fi
    ;;
esac
