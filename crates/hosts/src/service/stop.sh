# Stops one process, known by pid and start time: politely, then by force. Every signal is sent only after
# the identity was looked at again, so a pid that was given to another program meanwhile is never signalled.
# Parameters: pid, start time, grace and kill limit in hundredths of a second, pid file.
# Prints `already`, `polite`, `killed`, `refused` or `stuck STATE`.
set -uf
pid=$1 start=$2 grace=$3 kill_limit=$4 pid_file=$5

now() { read -r up _ </proc/uptime; now=$((${up%.*} * 100 + 1${up#*.} - 100)); }
identity() { state=$1; shift 19; started=$1; }
same() {
    line=
    { IFS= read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
    identity ${line##*) }
    case $state in Z | X | x) return 1 ;; esac
    [ "$started" = "$start" ]
}
ended() {
    noted=
    { read -r noted _ <"$pid_file"; } 2>/dev/null
    if [ "$noted" = "$pid" ]; then rm -f "$pid_file" "$pid_file.identity"; fi
    printf '%s\n' "$1"
    exit 0
}
# The next step waits for this answer: looks are ten milliseconds apart at first, then a thirty-second part of the time that has
# passed, half a second at most. Each pause is a process: many services that take seconds to end, stopped beside each other, would
# keep a machine busy with pauses.
gone_within() {
    now; began=$now deadline=$((now + $1))
    while same; do
        now
        if [ "$now" -ge "$deadline" ]; then return 1; fi
        pause=$(((now - began) / 32))
        if [ "$pause" -gt 50 ]; then pause=50; fi
        if [ "$pause" -lt 10 ]; then pause=0$((pause > 1 ? pause : 1)); fi
        sleep "0.$pause"
    done
}

same || ended already
if ! kill -s TERM "$pid" 2>/dev/null; then
    same || ended already
    printf 'refused\n'
    exit 0
fi
# A frozen process cannot act on the polite signal until it is thawed.
if [ "$state" = T ]; then kill -s CONT "$pid" 2>/dev/null; fi
gone_within "$grace" && ended polite
same && kill -s KILL "$pid" 2>/dev/null
gone_within "$kill_limit" && ended killed
printf 'stuck %s\n' "$state"
exit 0
