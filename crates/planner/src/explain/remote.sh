# What acts on hosts. `hands` is the file with the words above.
rights() { @RIGHTS@; }
secret() { @SECRET@; }
# on HOST COMMANDS: runs them there, with the words above.
on() { { secret "$1"; cat "$hands"; printf '%s\n' "$2"; } | @SSH@ "$1" "$(rights "$1") sh -c 'eval \"\$(cat)\"'"; }
# give HOST FOLDER: puts the tools of the hop into a folder there.
give() {
    { secret "$1"; tar -C "$tools" -cf - .; } |
        @SSH@ "$1" "$(rights "$1") sh -c 'mkdir -p \"$2\" && tar -C \"$2\" --no-same-owner -xf -'"
}
# carry HOST FILE TO: puts a copy of the data there, for its owner alone.
carry() {
    { secret "$1"; cat "$2"; } |
        @SSH@ "$1" "$(rights "$1") sh -c 'umask 077; mkdir -p \"$(dirname "$3")\" && cat >\"$3\"'"
}
