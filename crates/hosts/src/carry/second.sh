# Tells whether the disk of a data folder holds a second set of data like the one that is there, which stays beside it while the
# copy is restored. Prints why not, and nothing otherwise.
# Parameters: data folder, bytes of the copy.
set -u
spare=65536
have=$(du -sk -- "$1" 2>/dev/null | cut -f1)
copy=$(($2 / 1024))
need=$(((${have:-0} > copy ? ${have:-0} : copy) + spare))
folder=$1
while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
free=$(df -Pk -- "$folder" | { read -r _; read -r _ _ _ free _; echo "$free"; })
if [ "$need" -gt "${free:-0}" ]; then
    echo "the disk of $1 has $((free / 1024)) MiB left; while data are put back, those that are there stay beside them, which needs $((need / 1024)) MiB"
fi
