# Keeps packages from starting or restarting anything here: the member's unit, whoever installs, and everything else while
# Quorate installs. A policy of the operator is kept beside it and asked for all the rest. Can be repeated.
# Parameters: folder of the policy, unit without its ending, cluster, plan, then packages: those of them that are on hold are noted,
# because dpkg takes the hold off what it is told to install. Prints `held` or `other WHOSE`.
set -eu
folder=$1 unit=$2 cluster=$3 plan=$4
shift 4
policy=$folder/policy-rc.d kept=$folder/policy-rc.d.quorate-kept new=$folder/policy-rc.d.quorate-new
holds=
mark='# Made by Quorate for a run on cluster'
if [ -f "$policy" ] && line=$(grep -F -m 1 -- "$mark" "$policy"); then
    whose=${line#"$mark "}
    [ "$whose" = "$cluster" ] || { printf 'other %s\n' "$whose"; exit 0; }
    # What was noted first counts: an installation that was cut off may have taken a hold off.
    holds=$(sed -n 's/^# On hold before: //p' "$policy")
    set --
elif [ -e "$policy" ] || [ -L "$policy" ]; then
    # A copy first, so that at every moment one policy or the other stands there.
    rm -f -- "$kept"
    cp -a -- "$policy" "$kept"
fi
for package in "$@"; do
    want=$(dpkg-query -W -f '${db:Status-Want}' "$package" 2>/dev/null) || want=
    [ "$want" != hold ] || holds="$holds $package"
done
rm -f -- "$new"
cat >"$new" <<END
#!/bin/sh
$mark $cluster
# Plan $plan
# On hold before: ${holds# }
# Taken away when the run ends; \`quorate run resume\` does it after a crash.
[ -z "\${QUORATE_INSTALLS:-}" ] || exit 101
for word in "\$@"; do
    case "\$word" in
    --*) ;;
    '$unit' | '$unit.service') exit 101 ;;
    *) break ;;
    esac
done
[ ! -x '$kept' ] || exec '$kept' "\$@"
exit 0
END
chmod 755 -- "$new"
mv -f -- "$new" "$policy"
echo held
