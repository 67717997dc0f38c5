# Starts a service so that it outlives this shell and is nobody's child afterwards.
# Parameters: pid file, log file, working folder, PATH of the service (or nothing), settle time in hundredths of a
# second, then the service's own words. Prints `started PID`, `exited STATUS` with the last log lines, `refused WHY` or `unsure WHY`.
set -u
pid_file=$1 log_file=$2 work_dir=$3 service_path=$4 settle=$5
shift 5

refuse() { printf 'refused %s\n' "$1"; exit 0; }
now() { read -r up _ </proc/uptime; now=$((${up%.*} * 100 + 1${up#*.} - 100)); }
alive() {
    line=
    { IFS= read -r line <"/proc/$child/stat"; } 2>/dev/null || return 1
    case ${line##*) } in Z* | X*) return 1 ;; esac
}

mkdir -p "$(dirname "$pid_file")" "$(dirname "$log_file")" 2>/dev/null
cd "$work_dir" 2>/dev/null || refuse "the working folder $work_dir cannot be entered"
( : >>"$log_file" ) 2>/dev/null || refuse "the log file $log_file cannot be written"
( : >"$pid_file.new" ) 2>/dev/null || refuse "the pid file $pid_file cannot be written"
if ! command -v "$1" >/dev/null 2>&1; then refuse "$1 is missing or not executable"; fi
log_from=$(wc -c <"$log_file")

# The child notes its own identity before it becomes the service: at no moment does the service run without it.
# The identity is the pid with its start time and the boot it belongs to, which no other process ever shares.
# A new session and no terminal: the controller's end, or its Ctrl-C, does not reach the service.
setsid sh -c '
    pid_file=$1 service_path=$2
    shift 2
    start_of() { shift 19; start=$1; }
    read -r boot </proc/sys/kernel/random/boot_id
    IFS= read -r line <"/proc/$$/stat"
    start_of ${line##*) }
    printf "%s %s %s\n" "$$" "$start" "$boot" >"$pid_file.identity.new" &&
        mv -f "$pid_file.identity.new" "$pid_file.identity" &&
        printf "%s\n" "$$" >"$pid_file.new" && mv -f "$pid_file.new" "$pid_file" || exit 121
    if [ -n "$service_path" ]; then PATH=$service_path; export PATH; fi
    unset OLDPWD
    exec "$@"
' quorate-service "$pid_file" "$service_path" "$@" </dev/null >>"$log_file" 2>&1 &
child=$!

# Settled means: noted, and alive for the settle time after that. A busy host gets five seconds to note it.
now; give_up=$((now + 500)) settled=
while alive; do
    now
    if [ -z "$settled" ]; then
        noted=
        { read -r noted _ <"$pid_file"; } 2>/dev/null
        if [ "$noted" = "$child" ]; then settled=$((now + settle)); fi
        if [ "$now" -gt "$give_up" ]; then
            printf 'unsure process %s did not note itself in %s within 5 s\n' "$child" "$pid_file"
            exit 0
        fi
    elif [ "$now" -ge "$settled" ]; then
        printf 'started %s\n' "$child"
        exit 0
    fi
    sleep 0.01
done
wait "$child"
status=$?
# What it noted of itself names nobody any more.
noted=
{ read -r noted _ <"$pid_file"; } 2>/dev/null
if [ "$noted" = "$child" ]; then rm -f "$pid_file" "$pid_file.identity"; fi
printf 'exited %s\n' "$status"
tail -c "+$((log_from + 1))" "$log_file" | tail -n 5
exit 0
