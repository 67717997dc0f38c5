# Turns a fresh Debian tree into the base of lab machines: no keys, no network, nothing that a lab does not need.
# Parameters: the tree.
set -eu
root=$1

# Each machine brings its own key and identity.
rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub "$root"/var/lib/dbus/machine-id
: >"$root/etc/machine-id"
mkdir -p "$root/etc/ssh/sshd_config.d" "$root/data"
# The key is the only way in. Many clients may dial at once, and nobody looks names up: there is no server to ask.
cat >"$root/etc/ssh/sshd_config.d/00-quorate-lab.conf" <<'CONFIG'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
MaxStartups 500:30:1000
MaxSessions 100
PrintMotd no
CONFIG

# No network leaves a machine. Local packages install as ever.
rm -f "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
printf '# A lab machine has no network but its lab: bring packages as files.\n' >"$root/etc/apt/sources.list"
: >"$root/etc/resolv.conf"
# Names are looked up in /etc/hosts alone.
sed -i 's/^hosts:.*/hosts: files/' "$root/etc/nsswitch.conf"

for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer console-getty.service getty@tty1.service getty.target \
    systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service \
    systemd-networkd-wait-online.service systemd-firstboot.service ldconfig.service; do
    ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done

# What is to run once, before anybody can log in. That it ran, and how, is seen from outside.
cat >"$root/etc/systemd/system/quorate-first-boot.service" <<'UNIT'
[Unit]
Description=What the lab planted to run once
ConditionPathExists=/var/lib/quorate-lab/first-boot
ConditionPathExists=!/var/lib/quorate-lab/first-boot.said
After=local-fs.target systemd-tmpfiles-setup.service dbus.socket
Before=ssh.service systemd-user-sessions.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /var/lib/quorate-lab/first-boot
ExecStopPost=/bin/sh -c 'printf "%%s\\n" "$SERVICE_RESULT" >/var/lib/quorate-lab/first-boot.said'

[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/var/lib/quorate-lab"
ln -sfn ../quorate-first-boot.service "$root/etc/systemd/system/multi-user.target.wants/quorate-first-boot.service"
