# Sends one signal to one process, known by pid and start time, after a last look at its identity.
# Parameters: signal name, pid, start time. Prints `sent`, `gone` or `refused`.
set -uf
identity() { state=$1; shift 19; started=$1; }
line=
{ IFS= read -r line <"/proc/$2/stat"; } 2>/dev/null || { echo gone; exit 0; }
identity ${line##*) }
case $state in Z | X | x) echo gone; exit 0 ;; esac
[ "$started" = "$3" ] || { echo gone; exit 0; }
if kill -s "$1" "$2" 2>/dev/null; then echo sent; else echo refused; fi
