# Tells the files from which systemd starts a unit, in the order in which they count: the unit, its drop-ins, its environment
# files. Prints whether systemd has the unit, and which process it runs for it; then one file a line: its kind, its path, and what
# it holds, in hexadecimal; `-` for one that cannot be read.
# Parameters: the unit, and the most bytes that a file of it has.
set -uf
unit=$1 most=$2

hex() { od -An -v -tx1 | tr -d ' \n'; }
shown() { systemctl show -p "$1" --value -- "$unit" 2>/dev/null; }
file() {
    [ -e "$2" ] || return 0
    held=-
    if [ -r "$2" ]; then held=$(head -c "$most" -- "$2" | hex); fi
    printf '%s %s %s\n' "$1" "$(printf %s "$2" | hex)" "${held:-.}"
}
printf 'state %s %s\n' "$(shown LoadState)" "$(shown MainPID)"
path=$(shown FragmentPath)
if [ -n "$path" ]; then file unit "$path"; fi
for path in $(shown DropInPaths); do file unit "$path"; done
# `/etc/default/etcd (ignore_errors=yes)`
shown EnvironmentFiles | while IFS= read -r line; do
    path=${line% (ignore_errors=*}
    if [ -n "$path" ]; then file environment "$path"; fi
done
exit 0
