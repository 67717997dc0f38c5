# Tells the machine, the free space of a folder and the digests of files.
# Parameters: folder, then of each file its name, and its fingerprint when it was last found whole (or nothing). Prints
# `machine NAME`, `free KIB`, `file NUMBER SHA256` (`-` when missing, `same` when it has that fingerprint still and need not be
# read), and `print NUMBER FINGERPRINT` of a file that nobody wrote to while it was read.
set -u
folder=$1
shift
printf 'machine %s\n' "$(uname -m)"
# The folder may not exist yet: then its nearest parent tells the space.
while [ ! -d "$folder" ] && [ "$folder" != / ]; do folder=$(dirname "$folder"); done
df -Pk "$folder" 2>/dev/null | {
    read -r _
    read -r _ _ _ free _ && printf 'free %s\n' "$free"
}
print() { stat -Lc '%d:%i:%s:%z' -- "$1" 2>/dev/null; }
number=0 read_before= read_digest=
while [ $# -ge 2 ]; do
    file=$1 known=$2
    shift 2
    digest=-
    before=
    if [ -f "$file" ]; then
        before=$(print "$file")
        if [ -n "$known" ] && [ "$before" = "$known" ]; then
            digest=same
        # The name before this one is often another name of the same file: what was just read is not read again.
        elif [ -n "$before" ] && [ "$before" = "$read_before" ] && [ "$read_digest" != same ]; then
            digest=$read_digest
        else
            digest=$(sha256sum 2>/dev/null <"$file") && digest=${digest%% *} || digest=unreadable
        fi
    fi
    printf 'file %s %s\n' "$number" "$digest"
    read_before=
    if [ -n "$before" ] && [ "$before" = "$(print "$file")" ]; then
        printf 'print %s %s\n' "$number" "$before"
        read_before=$before read_digest=$digest
    fi
    number=$((number + 1))
done
exit 0
