# Tells what is known of a service: the process that its pid file names, and every process that may be it.
# Parameters: pid file, live binary, working folder, `environ` when variables are declared (else nothing), then words
# (`--data-dir=/x`, `/x`) that only the service's own process is likely to have been started with.
# Prints one fact a line; bytes that could hold anything are hexadecimal.
set -uf
pid_file=$1 binary=$2 work_dir=$3 variables=$4
shift 4

hex() { od -An -v -tx1 | tr -d ' \n'; }
# A fact that may be long, by its name: a third longer than its bytes, or twice as long where a host lacks the program.
coded() {
    if command -v base64 >/dev/null 2>&1; then
        printf '%s64 ' "$1"
        base64 | tr -d '\n'
        printf '\n'
    else
        printf '%s %s\n' "$1" "$(hex)"
    fi
}

# Nothing is read here: a shell reads a file byte by byte, and the kernel writes /proc/PID/stat anew for each of them.
show() {
    if [ ! -d "/proc/$1" ]; then return 0; fi
    file_is=other
    if [ "/proc/$1/exe" -ef "$file" ]; then file_is=live; fi
    printf 'process %s||||||%s\n' "$1" "$file_is"
    links="$links /proc/$1/exe /proc/$1/cwd"
    texts="$texts /proc/$1/stat /proc/$1/cmdline ${variables:+/proc/$1/environ}"
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
            printf 'process %s|%s|||||other\n' "$recorded_pid" "${line##*) }"
            case ${line##*) } in Z* | X*) ;; *) exit 0 ;; esac
        fi
    fi
    ;;
esac

case $binary in
*/*) file=$binary ;;
*) file=$(command -v "$binary" 2>/dev/null || echo "$binary") ;;
esac
real=$(readlink -f "$file" 2>/dev/null)
head=$(head -c 256 "$file" 2>/dev/null | hex)
printf 'real %s\n' "$(printf '%s' "$real" | hex)"
printf 'folder %s\n' "$(readlink -f "$work_dir" 2>/dev/null | hex)"
printf 'head %s\n' "$head"
links= texts=
if [ -n "$pid" ]; then show "$pid"; fi

# Who may be it: who runs the live file, or a file whose name begins with that file's (a swap gives the file another name
# under a process that still runs it), or was started with one of the words, as argument or as variable.
# Only candidates are printed; which of them is the service is not decided here.
set +f
candidates() {
    for process in /proc/[0-9]*; do
        if [ "$process/exe" -ef "$file" ]; then printf '%s\n' "${process#/proc/}"; fi
    done
    # Filtered before the shell takes it, and taken as a whole: a host may run hundreds of other processes, and a loop of `read`
    # reads a pipe byte by byte.
    programs=$(
        ls -ld /proc/[0-9]*/exe 2>/dev/null | sed -n 's|^.* /proc/\([0-9]*\)/exe -> |\1 |p' |
            grep -F -e " $file" -e " ${real:-$file}"
    )
    (
        set -f
        IFS='
'
        for line in $programs; do
            case ${line#* } in "$file"* | "${real:-$file}"*) printf '%s\n' "${line%% *}" ;; esac
        done
    )
    # A script's process runs its interpreter, and names the script as it was called, from its own folder.
    case $head in 2321*) grep -szlF -e "${file##*/}" /proc/[0-9]*/cmdline ;; esac 2>/dev/null
    grep -szlxF "$@" /proc/[0-9]*/cmdline 2>/dev/null
    if [ -n "$variables" ]; then grep -szlxF "$@" /proc/[0-9]*/environ 2>/dev/null; fi
}
expressions=$#
while [ "$expressions" -gt 0 ]; do
    set -- "$@" -e "$1"
    shift
    expressions=$((expressions - 1))
done
for found in $(candidates -e "$binary" "$@" | sed 's|^/proc/||; s|/.*$||' | sort -un); do
    if [ "$found" != "$pid" ] && [ "$found" != "$$" ]; then show "$found"; fi
done
# One program for all of them: hundreds of agents of one host may run the same file, and a program for each of their files, at each
# look for one of them, keeps a machine busy with nothing else. Files follow under their names, `==> /proc/7/cmdline <==`.
if [ -n "$links" ]; then
    ls -ld $links 2>/dev/null | coded links
    # Of whom the kernel says, as it reads, that there is no such process, has ended meanwhile: told last, as one more file. A look
    # at /proc afterwards would not do, since another process may bear that number by then; nor would silence, which lets a live one
    # pass for one that ended.
    {
        ended=$(
            LC_ALL=C head -v -c 4194304 $texts 2>&1 >&3 |
                sed -n 's|^.*/proc/\([0-9]*\)/stat.*No such .*$|\1|p'
        )
        printf '\n==> /proc/ended <==\n%s\n' "$ended"
    } 3>&1 | coded texts
fi
exit 0
