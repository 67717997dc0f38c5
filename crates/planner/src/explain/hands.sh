# What every block below uses. Paste this once into the shell, sh or bash, that you follow the run book in.

# see TEXT: asks the person at the keyboard, once a gate.
see() {
    case $seen in *"|$1|"*) return 0 ;; esac
    printf '%s? [y/n] ' "$1" >/dev/tty && read -r answer </dev/tty && [ "$answer" = y ] && seen="$seen|$1|"
}

# bring FOLDER SUMS FILE COMMAND...: brings a release's files into FOLDER, by COMMAND run there, unless they are there already
# with the right digests (SUMS), and names the server's FILE beside the live one. The live one is not touched.
bring() {
    folder=$1 sums=$2 beside=$3; shift 3
    mkdir -p "$folder" || return 1
    if ! (cd "$folder" && echo "$sums" | sha256sum -c --status 2>/dev/null); then
        (cd "$folder" && "$@" && echo "$sums" | sha256sum -c) || return 1
    fi
    [ -e "$beside" ] || ln "$folder/$server" "$beside" 2>/dev/null || cp -p "$folder/$server" "$beside"
}

# stop_service PIDFILE SECONDS BINARY: asks the process politely to end, and waits no longer than that.
stop_service() {
    pid=$(cat "$1" 2>/dev/null) real=$(readlink -f "$3")
    if ! lives "$pid"; then
        for process in /proc/[0-9]*; do
            case $(readlink "$process/exe") in
            "$real" | "$real"_* | "$real (deleted)")
                echo "process ${process#/proc/} runs $3, and $1 does not name it: write its pid there"; return 1 ;;
            esac
        done
        echo "nothing runs $3: nothing to stop"
        return 0
    fi
    case "$(readlink "/proc/$pid/exe") $(tr '\0' ' ' <"/proc/$pid/cmdline")" in
    "$3"* | "$real"* | *" $3 "*) ;;
    *) echo "process $pid does not run $3: find the right one and write its pid into $1"; return 1 ;;
    esac
    kill -TERM "$pid" || return 1
    waited=0
    while lives "$pid"; do
        if [ "$waited" -ge "$2" ]; then
            echo "process $pid still runs after $2 s: look why, then kill -KILL $pid and go on with the next step"
            return 1
        fi
        sleep 1
        waited=$((waited + 1))
    done
    echo "process $pid has ended"
}

# lives PID: it runs; one that ended and was not yet collected does not.
lives() { [ -n "$1" ] && grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }

# exchange LIVE NEW OLD SUM: makes NEW the live file, in one rename; the file that was live keeps the name OLD.
exchange() {
    if echo "$4  $1" | sha256sum -c --status 2>/dev/null; then echo "$1 is exchanged already"; return 0; fi
    echo "$4  $2" | sha256sum -c || return 1
    [ -e "$3" ] || ln "$1" "$3" 2>/dev/null || cp -p "$1" "$3" || return 1
    cp -p "$2" "$1.new" && mv -f "$1.new" "$1"
}

# rewrite FILE SUM [AT OLD NEW]...: FILE as it was when it was looked at (SUM), with each NEW in the place of its OLD, AT bytes
# into it. What it was is kept beside it. A file that somebody changed meanwhile is left alone.
rewrite() {
    file=$1 kept=$1.planned-$(printf %.12s "$2")
    if [ ! -e "$kept" ]; then
        echo "$2  $file" | sha256sum -c && cp -p "$file" "$kept" || return 1
    elif ! cmp -s "$file" "$kept" && ! grep -qxF "$(sha256sum <"$file")" "$kept.written"; then
        echo "somebody has changed $file, which was planned on as $kept"
        return 1
    fi
    cp -p "$kept" "$file.new" && : >"$file.new" && from=0 || return 1
    shift 2
    while [ "$#" -ge 3 ]; do
        tail -c "+$((from + 1))" "$kept" | head -c "$(($1 - from))" >>"$file.new" && printf %s "$3" >>"$file.new" || return 1
        from=$(($1 + $(printf %s "$2" | wc -c)))
        shift 3
    done
    tail -c "+$((from + 1))" "$kept" >>"$file.new" && sha256sum <"$file.new" >>"$kept.written" && mv -f "$file.new" "$file"
}

# start_service PIDFILE LOGFILE FOLDER WORDS...: starts it in a session of its own, so that it outlives this shell.
start_service() {
    pid_file=$1 log_file=$2 work_dir=$3; shift 3
    if lives "$(cat "$pid_file" 2>/dev/null)"; then echo "it runs already"; return 0; fi
    rm -f "$pid_file" && mkdir -p "$(dirname "$pid_file")" "$(dirname "$log_file")" && cd "$work_dir" || return 1
    setsid sh -c 'echo $$ >"$0" && exec "$@"' "$pid_file" "$@" </dev/null >>"$log_file" 2>&1 &
    cd "$OLDPWD" && sleep 1
    if ! lives "$(cat "$pid_file")"; then echo "it ended at once:"; tail -n 5 "$log_file"; return 1; fi
    echo "it runs as process $(cat "$pid_file")"
}

# each WORD: does WORD for each line of $nodes, with the line's words as $fields, one after the other; the first that fails ends it.
# What was done already is not done again, so that it can be called again once what failed is mended.
each() {
    failed=
    while read -r $fields; do
        case $NODE in '') continue ;; esac
        case $did in *"|$1 $NODE|"*) continue ;; esac
        echo "$1: $NODE"
        if "$1" </dev/null; then did="$did|$1 $NODE|"; else failed=$NODE; break; fi
    done <<END_OF_NODES
$nodes
END_OF_NODES
    [ -z "$failed" ] || { echo "$1 stopped at $failed: mend it, or leave it out with \`without $failed\`; then the same again"; return 1; }
}

# without NODE: leaves a node that failed out of the list.
without() { nodes=$(echo "$nodes" | awk -v node="$1" '$1 != node'); echo "without $1"; }

# gate LOOK ROW EVERY TRIES: LOOK must hold ROW times in a row, EVERY seconds apart, within TRIES looks.
gate() {
    row=0 try=0 seen=
    while [ "$try" -lt "$4" ]; do
        try=$((try + 1))
        if "$1" 2>/dev/null; then row=$((row + 1)); else row=0; fi
        if [ "$row" -ge "$2" ]; then echo "the gate holds"; return 0; fi
        sleep "$3"
    done
    echo "the gate does not hold: $not_yet. Stop here, touch nothing more, look again."
    return 1
}
