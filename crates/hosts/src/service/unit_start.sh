# Starts a unit and waits until it has a process, not until the product serves: that is for a gate to see, and some products
# say that they serve only once other members are there too.
# Parameters: unit, tenths of a second to wait for the process. Prints `started PID`, `failed RESULT` or `waits STATE`.
set -u
unit=$1 left=$2
# A unit that failed often is not started again before its counter is taken back.
systemctl reset-failed -- "$unit" 2>/dev/null
systemctl start --no-block -- "$unit" || exit 1
state= pid=0
look() {
    state=$(systemctl show -p ActiveState --value -- "$unit")
    pid=$(systemctl show -p MainPID --value -- "$unit")
}
while [ "$left" -gt 0 ]; do
    look
    case $state in
    failed) echo "failed $(systemctl show -p Result --value -- "$unit")"; exit 0 ;;
    active | activating | reloading) if [ "${pid:-0}" != 0 ]; then break; fi ;;
    esac
    sleep 0.1
    left=$((left - 1))
done
if [ "${pid:-0}" = 0 ]; then echo "waits $state"; exit 0; fi
# A program with a wrong flag ends within some ten milliseconds, and systemd starts it again a moment later.
sleep 0.15
first=$pid
look
if [ "$pid" = "$first" ]; then echo "started $pid"; exit 0; fi
echo "failed $(systemctl show -p Result --value -- "$unit")"
