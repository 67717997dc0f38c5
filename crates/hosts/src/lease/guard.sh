# Runs a command if the cluster is still this controller's, as this host knows it: nobody can come between the question and the
# act. Everything is the shell's own, since a member is down meanwhile.
# Parameters: the cluster's name; the state folder; who holds it; the command.
if [ -O / ]; then base=/var/lib/quorate; else base=$HOME/.local/state/quorate; fi
state= who=
{ IFS= read -r state; IFS= read -r who; } 2>/dev/null <"$base/$1/lease"
if [ "$state" != "$2" ] || [ "$who" != "$3" ]; then
    echo "quorate-lease-lost $who" >&2
    exit 97
fi
shift 3
exec "$@"
