# Moves a folder aside and leaves an empty one in its place that belongs to whom it belonged: a program that does not run as
# root cannot make one beside others. Cut off anywhere, it goes on when it is run again.
# Parameters: the folder, and its name aside.
set -eu
if [ -L "$1" ]; then
    # An empty folder in the link's place would be on another disk than the data were.
    echo "$1 is a symbolic link: move what it leads to aside by hand, and leave an empty folder there" >&2
    exit 1
fi
if [ -e "$1" ]; then
    if [ -e "$2" ]; then
        if [ -d "$1" ] && [ -z "$(ls -A -- "$1")" ]; then exit 0; fi
        echo "$2 is there already" >&2
        exit 1
    fi
    mv -- "$1" "$2"
elif [ ! -e "$2" ]; then
    exit 0
fi
if [ -d "$2" ]; then
    # Nobody else has this name: it says which plan did it.
    new=$2.empty
    mkdir -p -m 700 -- "$new"
    chown --reference="$2" -- "$new"
    chmod --reference="$2" -- "$new"
    mv -T -- "$new" "$1"
fi
