# Gives a file a second name, so that the name holds the old or the new content at every moment.
# Parameters: file, name. A file system without hard links gets a copy.
set -eu
file=$1 name=$2
new="$name.quorate-new.$$"
rm -f -- "$new"
ln -- "$file" "$new" 2>/dev/null || cp -p -- "$file" "$new"
# `mv` refuses two names of one file: another stage may have given it this name a moment ago.
[ "$new" -ef "$name" ] || mv -f -- "$new" "$name" 2>/dev/null || [ "$new" -ef "$name" ] || mv -f -- "$new" "$name"
rm -f -- "$new"
