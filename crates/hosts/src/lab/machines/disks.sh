# Mounts a machine's root tree (an overlay over the base) and its data volume. May be run again.
# Parameters: base tree, the machine's folder, megabytes of the volume.
set -eu
base=$1 home=$2 data_mb=$3

mounted() { [ "$(stat -c %d "$1")" != "$(stat -c %d "$1/..")" ]; }

mkdir -p "$home/upper" "$home/work" "$home/root" "$home/data"
if ! mounted "$home/root"; then
    mount -t overlay -o "lowerdir=$base,upperdir=$home/upper,workdir=$home/work" quorate-lab "$home/root"
fi
if [ ! -e "$home/data.img" ]; then
    truncate -s "${data_mb}M" "$home/data.img.new"
    # No blocks held back for root: full is full for everybody.
    mkfs.ext4 -q -F -m 0 "$home/data.img.new"
    mv "$home/data.img.new" "$home/data.img"
fi
if ! mounted "$home/data"; then
    mount -o loop "$home/data.img" "$home/data"
fi
