# Ends a process with its group: politely, then by force, two seconds each. Fails while it is there.
# Parameters: process id.
for signal in TERM KILL; do
    group=$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f3)
    kill "-$signal" -- "-$group" || kill "-$signal" "$1"
    tries=0
    while [ -d "/proc/$1" ] && [ "$tries" -lt 20 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ -d "/proc/$1" ] || exit 0
done 2>/dev/null
exit 1
