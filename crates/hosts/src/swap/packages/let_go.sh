# Takes the policy away that keeps packages from starting anything, and puts the operator's back, and the holds of packages.
# Can be repeated.
# Parameters: folder of the policy, cluster. Prints `gone`, or `other` when somebody else's stands there and is left alone.
set -eu
folder=$1 cluster=$2
policy=$folder/policy-rc.d kept=$folder/policy-rc.d.quorate-kept
rm -f -- "$policy.quorate-new"
if [ -f "$policy" ] && grep -qxF -- "# Made by Quorate for a run on cluster $cluster" "$policy"; then
    # dpkg takes the hold off what it is told to install: it is put on again.
    for package in $(sed -n 's/^# On hold before: //p' "$policy"); do
        printf '%s hold\n' "$package" | dpkg --set-selections
    done
    if [ -e "$kept" ] || [ -L "$kept" ]; then mv -f -- "$kept" "$policy"; else rm -f -- "$policy"; fi
    echo gone
elif [ -e "$policy" ] || [ -L "$policy" ]; then
    echo other
else
    echo gone
fi
