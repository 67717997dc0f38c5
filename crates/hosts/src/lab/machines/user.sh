# Makes a user in a root tree that is not booted.
# Parameters: root tree, name, what sudo allows (or nothing), public key. A password on standard input (or nothing).
set -eu
root=$1 name=$2 sudo=$3 key=$4
password=$(cat)

chroot "$root" useradd --create-home --shell /bin/bash "$name"
home="$root/home/$name"
mkdir -m 700 "$home/.ssh"
printf '%s\n' "$key" >"$home/.ssh/authorized_keys"
chmod 600 "$home/.ssh/authorized_keys"
chroot "$root" chown -R "$name:$name" "/home/$name/.ssh"
if [ -n "$password" ]; then
    # A lab keeps nothing from anybody: the cheapest hash, since sudo asks before every command.
    printf '%s:%s\n' "$name" "$password" | chroot "$root" chpasswd -c SHA256 -s 1000
else
    # No password opens it, and the account is not locked: sshd refuses keys of a locked one.
    chroot "$root" usermod -p '*' "$name"
fi
if [ -n "$sudo" ]; then
    printf '%s ALL=(ALL:ALL) %s\n' "$name" "$sudo" >"$root/etc/sudoers.d/$name"
    chmod 440 "$root/etc/sudoers.d/$name"
fi
