# Tells what a host shows of one product: its system, the processes that may be the product's, the file that a restart would
# execute. Prints one fact a line; bytes that could hold anything are hexadecimal. Every program that it runs is a fork on a
# host whose member has just started, and a gate waits for it.
# Parameters: known process id and its start (or nothing), pid file, unit, live file, `all` to look through every process,
# then names of the product's binaries.
set -uf
known=$1 known_start=$2 pid_file=$3 unit=$4 live=$5 depth=$6
shift 6

hex() { printf '%s' $(od -An -v -tx1 "$@"); }
# A name as `=NAME`, unless it holds more than names usually do.
name() {
    case $1 in
    *[!A-Za-z0-9/._+@\ \(\)-]*) printf '%s' "$1" | hex ;;
    *) printf '=%s' "$1" ;;
    esac
}
stamp() { stat -Lc '%d:%i %s %Y' -- "$1" 2>/dev/null; }
start_of() { shift 19; start=$1; }
stat_of() {
    line= start=
    { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    rest=${line##*) }
    case $rest in '' | Z* | X*) return 1 ;; esac
    start_of $rest
}
# Parameters: `named` for a process that the pid file or the unit names, `found` for one of the product's name; its id.
show() {
    how=$1
    shift
    stat_of "$1" || return 0
    if [ -z "$tick" ]; then
        tick=$(getconf CLK_TCK 2>/dev/null || echo 100)
        printf 'tick %s\n' "$tick"
    fi
    printf '%s %s|%s|' "$how" "$1" "$start"
    name "$(readlink "/proc/$1/exe" 2>/dev/null)"
    printf '|%s|' "$(stat -Lc '%d:%i' -- "/proc/$1/exe" 2>/dev/null)"
    hex "/proc/$1/cmdline" 2>/dev/null
    printf '|'
    hex "/proc/$1/environ" 2>/dev/null
    printf '|'
    name "$(readlink "/proc/$1/cwd" 2>/dev/null)"
    printf '\n'
}

while read -r key value _; do
    if [ "$key" = btime ]; then printf 'btime %s\n' "$value"; fi
done </proc/stat
tick=
if [ -n "$live" ]; then printf 'live %s\n' "$(stamp "$live")"; fi

# The process of the look before, when it still runs, is not read again.
if [ -n "$known" ] && stat_of "$known" && [ "$start" = "$known_start" ]; then
    printf 'known %s %s\n' "$known" "$(stat -Lc '%d:%i' -- "/proc/$known/exe" 2>/dev/null)"
    exit 0
fi
# A host whose process was known has told its system before.
if [ -z "$known" ] || [ "$depth" = all ]; then printf 'os %s\n' "$(hex /etc/os-release 2>/dev/null)"; fi
pid=
if [ -n "$unit" ]; then
    # A unit's own word counts: a product that runs beside its unit is not the unit's.
    pid=$(systemctl show -p MainPID --value -- "$unit" 2>/dev/null)
    if [ "${pid:-0}" != 0 ]; then show named "$pid"; exit 0; fi
elif [ -n "$pid_file" ]; then
    { read -r pid _ <"$pid_file"; } 2>/dev/null
    case $pid in '' | *[!0-9]*) ;; *) show named "$pid" ;; esac
fi
if [ "$depth" != all ] && [ -n "$pid_file$unit" ]; then exit 0; fi
set +f
for process in /proc/[0-9]*; do
    name=
    { IFS= read -r name <"$process/comm"; } 2>/dev/null || continue
    for wanted; do
        case $wanted in
        "$name"*) ;;
        *) case $name in "$wanted"*) ;; *) continue ;; esac ;;
        esac
        if [ "${process#/proc/}" != "$pid" ]; then show found "${process#/proc/}"; fi
        break
    done
done
exit 0
