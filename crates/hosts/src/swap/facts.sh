# Tells the machine, the free space of a folder and the digests of files.
# Parameters: folder, then files. Prints `machine NAME`, `free KIB` and `file NUMBER SHA256` (or `-` when missing).
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
number=0
for file in "$@"; do
    digest=-
    if [ -f "$file" ]; then
        digest=$(sha256sum 2>/dev/null <"$file") && digest=${digest%% *} || digest=unreadable
    fi
    printf 'file %s %s\n' "$number" "$digest"
    number=$((number + 1))
done
exit 0
