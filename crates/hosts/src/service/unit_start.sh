# Starts a unit and waits until it has a process, not until the product serves: that is for a gate to see, and some products
# say that they serve only once other members are there too.
# Parameters: unit, tenths of a second to wait for the process. Prints what systemd knows; when the unit was stopped and so
# could be started, an empty line and `started PID`, `failed RESULT` or `waits STATE`.
left=$2
look
if cannot_be_told; then exit 0; fi
has ActiveState=inactive || has ActiveState=failed || exit 0
echo
# A unit that failed often is not started again before its counter is taken back.
systemctl reset-failed -- "$unit" 2>/dev/null
systemctl start --no-block -- "$unit" || exit 1
state= pid=0
ask() {
    state=$(systemctl show -p ActiveState --value -- "$unit")
    pid=$(systemctl show -p MainPID --value -- "$unit")
}
while [ "$left" -gt 0 ]; do
    ask
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
ask
if [ "$pid" = "$first" ]; then echo "started $pid"; exit 0; fi
echo "failed $(systemctl show -p Result --value -- "$unit")"
