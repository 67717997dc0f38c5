# Tells the files from which systemd starts a unit, in the order in which they count: the unit, its drop-ins, its environment
# files. Prints whether systemd has the unit, and which process it runs for it; then one file a line: its kind, its path, and what
# it holds, in hexadecimal; `-` for one that cannot be read.
# Then, where it is asked, which packages have its binary and the product's other programs beside it: lines `owned LIST:FILE`, and
# `diverted WHOM FILE` where dpkg puts the file elsewhere. dpkg's lists are read: to ask `dpkg -S` takes several times as long.
# Parameters: the unit, the most bytes that a file of it has, dpkg's folder, the binary (or nothing), names of programs.
set -uf
unit=$1 most=$2 dpkg=$3 live=$4
shift 4

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

[ -n "$live" ] && [ -d "$dpkg/info" ] || exit 0
folder=$(cd -P -- "${live%/*}/" 2>/dev/null && pwd) || exit 0
# Where /bin is a link to /usr/bin, a package may have a file by either name.
names() {
    for name; do
        for file in "${live%/*}/$name" "$folder/$name" "/usr$folder/$name" "${folder#/usr}/$name"; do
            if [ "$file" -ef "$folder/$name" ]; then printf '%s\n' "$file"; fi
        done
    done
}
files=$(names "${live##*/}" "$@")
[ -n "$files" ] || exit 0
set +f
printf '%s\n' "$files" | grep -HxF -f - -- "$dpkg"/info/*.list 2>/dev/null | while IFS= read -r line; do
    printf 'owned %s\n' "${line#"$dpkg/info/"}"
done
end='
'
[ -r "$dpkg/diversions" ] || exit 0
while IFS= read -r file && IFS= read -r _ && IFS= read -r whom; do
    case $end$files$end in *"$end$file$end"*) printf 'diverted %s %s\n' "$whom" "$file" ;; esac
done <"$dpkg/diversions"
exit 0
