# Boots a machine so that it outlives this shell and is nobody's child afterwards.
# Parameters: its control group, its folder, its name (which is that of its network namespace, too), its
# link.
set -eu
group=$1 home=$2 name=$3 link=$4

mkdir -p "$group/keeper" "$group/boot"
# The keeper goes into the group before anything is started: at no moment does a process of the machine run outside.
# A machine that reboots ends with 133, and is booted again. One that is off answers nothing, not even with a refusal.
setsid sh -c '
    group=$1 link=$2
    shift 2
    echo $$ >"$group/keeper/cgroup.procs" || exit 121
    while :; do
        sh -c "echo \$\$ >\"\$1/boot/cgroup.procs\" || exit 121; shift; exec \"\$@\"" quorate-machine "$group" "$@"
        [ $? = 133 ] || break
    done
    ip link set dev "$link" down
' quorate-keeper "$group" "$link" \
    env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 SYSTEMD_COLORS=0 \
    systemd-nspawn --quiet --register=no --keep-unit --boot --machine="$name" --directory="$home/root" \
    --network-namespace-path="/run/netns/$name" --bind="$home/data:/data" --hostname="$(cat "$home/root/etc/hostname")" \
    --resolv-conf=off --timezone=off --link-journal=no --console=read-only \
    </dev/null >>"$home/console.log" 2>&1 &
keeper=$!
# Started means: it is in its group. A busy machine gets five seconds for it.
tries=500
while ! grep -qx "$keeper" "$group/keeper/cgroup.procs"; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ] || ! kill -0 "$keeper" 2>/dev/null; then
        printf 'the machine did not start: %s\n' "$(tail -n 3 "$home/console.log")" >&2
        exit 1
    fi
    sleep 0.01
done
