# Tells what is known of a service: the process that its pid file names, and processes that look like it.
# Parameters: pid file, live binary, working folder. Prints one fact a line; bytes that could hold anything are hexadecimal.
set -uf
pid_file=$1 binary=$2 work_dir=$3

hex() { od -An -v -tx1 | tr -d ' \n'; }

show() {
    line=
    { IFS= read -r line <"/proc/$1/stat"; } 2>/dev/null || return 0
    exe=$(readlink "/proc/$1/exe" 2>/dev/null | hex)
    cwd=$(readlink "/proc/$1/cwd" 2>/dev/null | hex)
    words=$(hex 2>/dev/null <"/proc/$1/cmdline") 2>/dev/null
    variables=$(hex 2>/dev/null <"/proc/$1/environ") 2>/dev/null
    printf 'process %s|%s|%s|%s|%s|%s\n' "$1" "${line##*) }" "$exe" "$words" "$variables" "$cwd"
}

read -r boot </proc/sys/kernel/random/boot_id
printf 'boot %s\n' "$boot"
while read -r key value _; do
    if [ "$key" = btime ]; then printf 'btime %s\n' "$value"; fi
done </proc/stat
printf 'tick %s\n' "$(getconf CLK_TCK 2>/dev/null || echo 100)"

pid= recorded_pid= recorded_start= recorded_boot=
{ read -r pid _ <"$pid_file"; } 2>/dev/null
{ read -r recorded_pid recorded_start recorded_boot _ <"$pid_file.identity"; } 2>/dev/null
case $pid in *[!0-9]*) pid= ;; esac
printf 'pid %s\n' "$pid"
printf 'record %s %s %s\n' "$recorded_pid" "$recorded_start" "$recorded_boot"

# The recorded identity alone is a proof, and the common case: nothing else need be looked at.
start_of() { shift 19; start=$1; }
case $recorded_pid in
'' | *[!0-9]*) ;;
*)
    line=
    { IFS= read -r line <"/proc/$recorded_pid/stat"; } 2>/dev/null
    if [ -n "$line" ] && [ "$recorded_boot" = "$boot" ]; then
        start_of ${line##*) }
        if [ "$start" = "$recorded_start" ]; then
            printf 'process %s|%s||||\n' "$recorded_pid" "${line##*) }"
            case ${line##*) } in Z* | X*) ;; *) exit 0 ;; esac
        fi
    fi
    ;;
esac
if [ -n "$pid" ]; then show "$pid"; fi

case $binary in
*/*) file=$binary ;;
*) file=$(command -v "$binary" 2>/dev/null || echo "$binary") ;;
esac
printf 'real %s\n' "$(readlink -f "$file" 2>/dev/null | hex)"
printf 'folder %s\n' "$(readlink -f "$work_dir" 2>/dev/null | hex)"
printf 'head %s\n' "$(head -c 256 "$file" 2>/dev/null | hex)"
set +f
for found in $(grep -szlxF -e "$binary" /proc/[0-9]*/cmdline 2>/dev/null); do
    found=${found#/proc/}
    found=${found%/cmdline}
    if [ "$found" != "$pid" ] && [ "$found" != "$$" ]; then show "$found"; fi
done
exit 0
