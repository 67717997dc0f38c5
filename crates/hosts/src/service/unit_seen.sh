# What the acts on a unit share: `look` prints what systemd knows, `has` tells whether it said a line, `cannot_be_told` whether
# nobody can act on the unit.
unit=$1
newline='
'
look() { seen=$(look_at_unit "$unit") || exit 1; printf '%s\n' "$seen"; }
has() {
    case $newline$seen$newline in
    *"$newline$1$newline"*) return 0 ;;
    esac
    return 1
}
cannot_be_told() { has LoadState=not-found || has LoadState=bad-setting || has LoadState=error; }
