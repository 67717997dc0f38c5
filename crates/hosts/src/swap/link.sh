# Gives a file a second name, so that the name holds the old or the new content at every moment.
# Parameters: file, name. A file system without hard links gets a copy.
set -eu
file=$1 name=$2
new="$name.quorate-new.$$"
rm -f -- "$new"
ln -- "$file" "$new" 2>/dev/null || cp -p -- "$file" "$new"
if [ "$new" -ef "$name" ]; then rm -f -- "$new"; else mv -f -- "$new" "$name"; fi
