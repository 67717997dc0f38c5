# Tells whether packages can be installed here as they are; nothing is changed.
# Parameters: folder, live file, then for each package: its file, SHA-256, name, version, architecture.
# Prints `can` or a sentence that says what is in the way.
set -u
folder=$1 live=$2
shift 2
say() { printf '%s\n' "$1"; exit 0; }
command -v dpkg >/dev/null 2>&1 || say "there is no dpkg on this host: leave \`packages\` out, then the bare program is exchanged"
own=$(dpkg --print-architecture) || say "dpkg does not say which architecture this host has"
export LC_ALL=C.UTF-8
# Where /bin is a link to /usr/bin, a package may have the file by either name.
case $live in /usr/*) other=${live#/usr} ;; *) other=/usr$live ;; esac
[ "$other" -ef "$live" ] || other=$live
owner=$(dpkg-query -S "$live" "$other" 2>/dev/null | sed -n 's/: .*//p' | tail -n 1)
owned=no names= packages=
cd "$folder" || say "$folder cannot be entered"
count=$(($# / 5))
while [ "$count" -gt 0 ]; do
    file=$1 sum=$2 name=$3 version=$4 architecture=$5
    shift 5
    count=$((count - 1))
    found=$(sha256sum 2>/dev/null <"$file") && found=${found%% *} || found=missing
    [ "$found" = "$sum" ] || say "$folder/$file is not the planned one: stage it again"
    [ "$architecture" = all ] || [ "$architecture" = "$own" ] || say "$file is made for $architecture, this host is $own"
    inside=$(dpkg-deb -W --showformat='${Package} ${Version} ${Architecture}' "$file") || say "$file is no package that dpkg can read"
    [ "$inside" = "$name $version $architecture" ] || say "$file holds $inside, its name says otherwise"
    case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
    '' | not-installed | config-files) say "$name is not installed on this host: take it out of \`packages\`, or install it" ;;
    esac
    case ",${owner% }," in *",$name,"* | *",$name:"* | *", $name,"* | *", $name:"*) owned=yes ;; esac
    names="$names $file" packages="$packages $name"
    set -- "$@" "./$file"
done
[ "$owned" = yes ] || say "$live belongs to ${owner:-no package}, not to one of \`packages\`"
out=$(dpkg --no-act -i --force-downgrade "$@" 2>&1) || {
    why=$(printf '%s\n' "$out" | grep -E 'problem|depends|conflict|breaks|error' | head -n 4 | tr -s ' \n' ' ')
    say "dpkg would not install$names: ${why:-$out}"
}
# dpkg looks at dependencies only when it has unpacked; apt tells before, and what else would have to be installed or go.
out=$(apt-get -s --no-download --no-install-recommends --allow-downgrades --allow-change-held-packages \
    -o Debug::NoLocking=true install "$@" 2>&1) || {
    why=$(printf '%s\n' "$out" | grep -E ' Depends: | PreDepends: | Conflicts: | Breaks: |^E: ' | head -n 4 | tr -s ' \n' ' ')
    say "${names# } cannot be installed as they are: ${why:-$out}"
}
more=$(printf '%s\n' "$out" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | while read -r name; do
    case " $packages " in *" $name "*) ;; *) printf '%s ' "$name" ;; esac
done)
[ -z "$more" ] || say "${names# } need ${more% }, which the host lacks or has in another version: install it there first"
gone=$(printf '%s\n' "$out" | sed -n 's/^Remv \([^ ]*\) .*/\1/p' | tr '\n' ' ')
[ -z "$gone" ] || say "with$names on the host ${gone% } could not stay"
echo can
