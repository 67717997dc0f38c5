# Tells what systemd knows of a unit, one `Key=value` a line, and the process id of its main process.
# Parameters: unit.
set -u
command -v systemctl >/dev/null || { echo "there is no systemd here" >&2; exit 1; }
while read -r key value _; do
    if [ "$key" = btime ]; then printf 'btime=%s\n' "$value"; fi
done </proc/stat
systemctl show -p LoadState,ActiveState,SubState,MainPID,NRestarts,Result,ExecMainStartTimestampMonotonic,UnitFileState -- "$1"
